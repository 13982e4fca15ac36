// SPDX-License-Identifier: Apache-2.0
//
// Building a domain from what it was: from a saved domain's file, or around the
// memory it kept over a soft reset (tools/libs/light/libxl_create.c,
// domcreate_bootloader_done and domcreate_stream_done).

import { errnoOf, fail, isFailure } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { readFile } from "../daemons/files.ts";
import type { BuildConfig } from "./build-config.ts";
import { buildPost } from "./build-post.ts";
import type { Rings } from "./build-post.ts";
import { buildPre } from "./build-pre.ts";
import type { Ports } from "./build-pre.ts";
import { vmEntries } from "./domain-build.ts";
import { libxlError, reported } from "./log.ts";
import { streamEnded } from "./migration-link.ts";
import { ERROR_FAIL } from "./rc.ts";
import type { RestoreArgs } from "./restore-helper.ts";
import { decodeImage, decodeSaveHeader } from "./save-file.ts";
import { helperWaits, reapHelper, startHelper } from "./save-helper.ts";
import { startTime } from "./wall-clock.ts";

/** Where a domain's memory comes from that is not new. */
export type Source =
  /** A saved domain's file. */
  | { file: string }
  /** The domain itself: its rings stay where they are, its console keeps its terminal. */
  | (RingFrames & { tty: string });

type RingFrames = { storeMfn: number; consoleMfn: number };

/** Reads the stream of a saved domain's file, through a helper; where the rings are then. */
const streamRead = routine(
  "libxl__stream_read_start",
  (a: { process: string; domid: number; type: "pv" | "pvh"; ports: Ports; file: string }) => ({
    ...a,
    helper: "",
    rings: { storeMfn: -1, consoleMfn: -1 },
  }),
  ({ step, waitFor }) => [
    waitFor("stream", (host, l) => streamEnded(host, l.file)),
    step("fork helper", (host, l) => {
      const bytes = readFile(host, l.file);
      const header = isFailure(bytes) ? null : decodeSaveHeader(bytes);
      const image =
        isFailure(bytes) || header === null || "bad" in header ? null : decodeImage(bytes, header);
      if (image === null) {
        libxlError(
          host,
          l.process,
          "libxl_stream_read.c:341:stream_header_done",
          "Invalid ident: expected 0x4c6962786c466d74, got 0",
        );
        return fail(ERROR_FAIL);
      }
      const restore: RestoreArgs = { type: l.type, image, ports: l.ports };
      l.helper = startHelper(host, l.process, l.domid, restore);
      return;
    }),
    waitFor("helper", (host, l) => helperWaits(host, l.helper)),
    step("libxl__xc_domain_restore_done", (host, l) => {
      const { status, result } = reapHelper(host, l.helper);
      if (status === 0) return void (l.rings = result as RingFrames);
      const where = "libxl_stream_read.c:850:libxl__xc_domain_restore_done";
      return reported(host, l.process, where, "restoring domain", fail(errnoOf(status)));
    }),
  ],
  (l) => l.rings,
);

const ringsOf = ({ storeMfn, consoleMfn }: RingFrames): RingFrames => ({ storeMfn, consoleMfn });

/** Builds an empty domain from what it was; where its rings are. */
export const domainRestore = routine(
  "domcreate_stream_done",
  (a: { process: string; domid: number; build: BuildConfig; source: Source }) => ({
    ...a,
    ports: { storePort: -1, consolePort: -1 },
    rings: "storeMfn" in a.source ? ringsOf(a.source) : { storeMfn: -1, consoleMfn: -1 },
    started: "",
  }),
  ({ call, step, when }) => [
    call(
      "libxl__build_pre",
      buildPre,
      ({ process, domid, build }) => ({ process, domid, build, restore: true }),
      (l, ports) => void (l.ports = ports),
    ),
    when("from a file", (l) => "file" in l.source, [
      call(
        "libxl__stream_read",
        streamRead,
        ({ process, domid, build, ports, source }) => ({
          process,
          domid,
          type: build.type === "pv" ? ("pv" as const) : ("pvh" as const),
          ports,
          file: "file" in source ? source.file : "",
        }),
        (l, rings) => void (l.rings = rings),
      ),
    ]),
    step("gettimeofday", (host, l) => void (l.started = startTime(host))),
    call("libxl__build_post", buildPost, ({ process, domid, build, ports, rings, started }) => ({
      process,
      domid,
      // The scheduler here may be another one than where it came from.
      build: { ...build, schedulerKnown: false },
      rings: { ...ports, ...rings },
      vm: vmEntries(build, started, true),
    })),
  ],
  (l): Rings => ({ ...l.ports, ...l.rings }),
);
