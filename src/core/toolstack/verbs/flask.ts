// SPDX-License-Identifier: Apache-2.0
//
// getenforce, setenforce, loadpolicy, set-parameters: verbs for what this Xen was
// built without (tools/xl/xl_flask.c, xl_misc.c). xl's main gives libxl's -1 on
// as it is: 255.

import { isFailure } from "../../engine/errno.ts";
import { readFile } from "../../daemons/files.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { hypfsOp, xsmOp } from "../../hypervisor/absent.ts";
import { reported } from "../log.ts";
import { strerror } from "../strerror.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";

/** Exit status of a main that returned -1. */
const MINUS_ONE = 255;

/** `xl getenforce`. */
export const getenforceVerb = verb(
  "getenforce",
  ({ process }) => ({ process, status: MINUS_ONE }),
  ({ step }) => [
    step("libxl_flask_getenforce", (host, l) => {
      const { errno } = xsmOp();
      if (errno === "ENOSYS") stdout(host, l.process, say.flaskIsDisabled);
      else stderr(host, l.process, say.noEnforcingMode);
    }),
  ],
);

/** `xl setenforce`. */
export const setenforceVerb = verb(
  "setenforce",
  ({ process }) => ({ process, status: MINUS_ONE }),
  ({ step }) => [
    step("libxl_flask_setenforce", (host, l) => {
      const { errno } = xsmOp();
      stderr(host, l.process, errno === "ENOSYS" ? say.flaskDisabled : say.cannotSetEnforcingMode);
    }),
  ],
);

/** `xl loadpolicy`. */
export const loadpolicyVerb = verb(
  "loadpolicy",
  ({ process, command }) => ({ process, command, status: MINUS_ONE }),
  ({ step }) => [
    step("libxl_flask_loadpolicy", (host, { process, command: { file } }) => {
      const policy = readFile(host, file);
      if (isFailure(policy)) return stderr(host, process, say.cannotOpenPolicy(file, strerror(policy.errno)));
      const { errno } = xsmOp();
      stderr(host, process, errno === "ENOSYS" ? say.flaskDisabled : say.cannotLoadPolicy(strerror(errno)));
      return;
    }),
  ],
);

/** `xl set-parameters`. */
export const setParametersVerb = verb(
  "set-parameters",
  ({ process, command }) => ({ process, command, status: 0 }),
  ({ step }) => [
    step("libxl_set_parameters", (host, { process, command }) => {
      const failure = reported(
        host,
        process,
        "libxl.c:676:libxl_set_parameters",
        "opening Xen hypfs",
        hypfsOp(),
      );
      stderr(host, process, say.cannotSetParameters(command.parameters));
      return failure;
    }),
  ],
);
