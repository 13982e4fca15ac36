// SPDX-License-Identifier: Apache-2.0
//
// Every verb that is modelled.

import "./create.ts";
import "./disks.ts";
import "./list.ts";
import "./names.ts";
import "./nics.ts";
import "./pause.ts";
import "./signals.ts";
import "./stop.ts";
