// SPDX-License-Identifier: Apache-2.0
//
// Every verb that is modelled.

import "./create.ts";
import "./list.ts";
import "./names.ts";
import "./pause.ts";
import "./signals.ts";
import "./stop.ts";
