// SPDX-License-Identifier: Apache-2.0
//
// Which socket is which of the store's connections.

import { cellType } from "../engine/cells.ts";

/** The store's connection of a client, by socket name. */
export const clientCell = cellType<{ conn: number }>("xenstored-client");

/** The socket of a connection, by its number. */
export const clientSocketCell = cellType<{ socket: string }>("xenstored-client-socket");
