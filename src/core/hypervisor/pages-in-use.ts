// SPDX-License-Identifier: Apache-2.0
//
// Frames that a kernel of ours has something in. What that is, its cells say, not
// always the page: to whoever looks for pages that hold only zeros they hold more.

import { cellType } from "../engine/cells.ts";

/** Machine frames in use, by domid: the kernel's allocator hands out none of them. */
export const pagesInUseCell = cellType<{ mfns: number[] }>("pages-in-use");
