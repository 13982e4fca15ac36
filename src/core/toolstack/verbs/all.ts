// SPDX-License-Identifier: Apache-2.0
//
// Every verb that is modelled.

import "./console.ts";
import "./create.ts";
import "./disks.ts";
import "./dump-core.ts";
import "./info.ts";
import "./list.ts";
import "./memory.ts";
import "./names.ts";
import "./nics.ts";
import "./pause.ts";
import "./sched-rtds.ts";
import "./sched.ts";
import "./save.ts";
import "./signals.ts";
import "./stop.ts";
import "./uptime.ts";
import "./vcpu-list.ts";
import "./vcpu-pin.ts";
import "./vcpu-set.ts";
