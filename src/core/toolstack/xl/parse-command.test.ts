// SPDX-License-Identifier: Apache-2.0
//
// Outputs and exit codes recorded from xl 4.17.7.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commandTable } from "./command-table.ts";
import type { XlCommand } from "./command.ts";
import { help } from "./help.ts";
import { verbOptions } from "./options.ts";
import { parseCommandLine } from "./parse-command.ts";

const words = (line: string): string[] => (line === "" ? [] : line.split(" "));

function command(line: string): XlCommand {
  const parsed = parseCommandLine(words(line));
  if (parsed.kind === "exit") throw new Error(`${parsed.code} ${parsed.stdout}${parsed.stderr}`);
  return parsed.command;
}

function exit(line: string): { code: number; stdout: string; stderr: string } {
  const parsed = parseCommandLine(words(line));
  if (parsed.kind === "command") throw new Error(`understood as ${JSON.stringify(parsed.command)}`);
  const { code, stdout, stderr } = parsed;
  return { code, stdout, stderr };
}

const usage = (flags: string, line: string, description: string): string =>
  `Usage: xl [${flags}] ${line}\n\n${description}.\n\n`;
const missing = (verb: string, count: number): string =>
  `'xl ${verb}' requires at least ${count} argument${count > 1 ? "s" : ""}.\n\n`;

const destroyUsage =
  "Usage: xl [-vtTf] destroy [options] <Domain>\n\n\nTerminate a domain immediately.\n\nOptions:\n\n" +
  "-f                      Permit destroying domain 0, which will only succeed\n" +
  "                        when run from disaggregated toolstack domain with a\n" +
  "                        hardware domain distinct from domain 0.\n";

describe("recorded refusals", () => {
  test.each<[string, number, string, string]>([
    [
      "domid",
      2,
      usage("-vtT", "domid <DomainName>", "Convert a domain name to domain id"),
      missing("domid", 1),
    ],
    [
      "domname",
      2,
      usage("-vtT", "domname <DomainId>", "Convert a domain id to domain name"),
      missing("domname", 1),
    ],
    ["destroy", 2, destroyUsage, missing("destroy", 1)],
    ["pause", 2, usage("-vtTf", "pause <Domain>", "Pause execution of a domain"), missing("pause", 1)],
    ["unpause", 2, usage("-vtTf", "unpause <Domain>", "Unpause a paused domain"), missing("unpause", 1)],
    ["sysrq", 2, usage("-vtTf", "sysrq <Domain> <letter>", "Send a sysrq to a domain"), missing("sysrq", 2)],
    [
      "sysrq nosuch",
      2,
      usage("-vtTf", "sysrq <Domain> <letter>", "Send a sysrq to a domain"),
      missing("sysrq", 2),
    ],
    [
      "sysrq 99",
      2,
      usage("-vtTf", "sysrq <Domain> <letter>", "Send a sysrq to a domain"),
      missing("sysrq", 2),
    ],
    [
      "debug-keys",
      2,
      usage("-vtTf", "debug-keys <Keys>", "Send debug keys to Xen"),
      missing("debug-keys", 1),
    ],
    ["shutdown", 1, "", "You must specify -a or a domain id.\n\n"],
    ["reboot", 1, "", "You must specify -a or a domain id.\n\n"],
    ["nosuchcommand", 1, "", "command not implemented\n"],
  ])("xl %s", (line, code, stdout, stderr) => {
    expect(exit(line)).toEqual({ code, stdout, stderr });
  });

  test("xl alone lists the verbs as recorded", () => {
    const { code, stdout, stderr } = exit("");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout.split("\n").slice(0, 9)).toEqual([
      "Usage xl [-vfNtT] <subcommand> [args]",
      "",
      "xl full list of subcommands:",
      "",
      " create              Create a domain from config file <filename>",
      " config-update       Update a running domain's saved configuration, " +
        "used when rebuilding the domain after reboot.",
      "WARNING: xl now has better capability to manage domain configuration, avoid using this command when possible",
      " list                List information about all/some domains",
      " destroy             Terminate a domain immediately",
    ]);
    expect(stdout).toContain(
      " pci-assignable-remove \n                     Remove a device from being assignable\n",
    );
    expect(stdout).toContain(" vsnd-list           List virtual display devices for a domain\n");
    expect(
      stdout.endsWith(
        "\n                     Issue a qemu monitor command to the device model of a domain\n",
      ),
    ).toBe(true);
  });
});

describe("as xl reads command lines", () => {
  test.each<[string, Partial<XlCommand>]>([
    ["list", { verb: "list", domain: null, long: false, verbose: false }],
    ["list -lv gh", { verb: "list", domain: "gh", long: true, verbose: true }],
    ["list --cpupool --num", { verb: "list", cpupool: true, numa: true }],
    ["l 5".replace("l ", "list "), { verb: "list", domain: "5" }],
    [
      "-vvv create -p /tmp/gx.cfg",
      { verb: "create", configFile: "/tmp/gx.cfg", paused: true, daemonize: true, monitor: true },
    ],
    [
      "create /tmp/a.cfg -c memory=96",
      { verb: "create", configFile: "/tmp/a.cfg", consoleAutoconnect: true, extraConfig: "memory=96\n" },
    ],
    [
      "create -f /tmp/a.cfg name=x vcpus=2",
      { verb: "create", configFile: "/tmp/a.cfg", extraConfig: "name=x\nvcpus=2\n" },
    ],
    [
      "create --defconfig=/tmp/a.cfg -e",
      { verb: "create", configFile: "/tmp/a.cfg", daemonize: false, monitor: false },
    ],
    ["create -A name=x", { verb: "create", configFile: null, vnc: true, vncAutopass: true }],
    ["shutdown -w gb", { verb: "shutdown", domain: "gb", wait: 1, all: false }],
    ["shutdown -a -w", { verb: "shutdown", domain: null, wait: 1, all: true }],
    // Options end at the first argument: xl never sees this -w.
    ["shutdown 99 -w", { verb: "shutdown", domain: "99", wait: 0 }],
    ["reboot -ww gd2", { verb: "reboot", domain: "gd2", wait: 2 }],
    ["destroy -f 0", { verb: "destroy", domain: "0", force: true }],
    ["console -t pv 1", { verb: "console", domain: "1", type: "pv", number: 0 }],
    ["console -n2 1", { verb: "console", type: null, number: 2 }],
    [
      "save -c gi /mnt/gi.save",
      { verb: "save", domain: "gi", file: "/mnt/gi.save", checkpoint: true, configFile: null },
    ],
    ["restore /mnt/gi.save", { verb: "restore", file: "/mnt/gi.save", configFile: null, paused: false }],
    [
      "restore -p new.cfg /mnt/gi.save",
      { verb: "restore", file: "/mnt/gi.save", configFile: "new.cfg", paused: true },
    ],
    [
      "block-attach gv phy:/dev/loop1,xvdb,w",
      { verb: "block-attach", domain: "gv", specs: ["phy:/dev/loop1,xvdb,w"] },
    ],
    [
      "network-attach gv mac=00:16:3e:00:00:02 bridge=xenbr0",
      { verb: "network-attach", domain: "gv", specs: ["mac=00:16:3e:00:00:02", "bridge=xenbr0"] },
    ],
    ["block-detach --force gv xvdb", { verb: "block-detach", domain: "gv", device: "xvdb", force: true }],
    ["vcpu-list 1 gx", { verb: "vcpu-list", domains: ["1", "gx"] }],
    ["uptime -s 0", { verb: "uptime", domains: ["0"], short: true }],
    ["info xen_version", { verb: "info", numa: false, only: "xen_version" }],
    ["sched-credit2 -d gx -w 512", { verb: "sched-credit2", domain: "gx", weight: 512, cap: null }],
    [
      "sched-rtds -d gx -v 0 -p 100 -b 50 -e 1",
      { verb: "sched-rtds", vcpus: [0], periods: [100], budgets: [50], extratimes: [true] },
    ],
    ["migrate -s rsh gx other", { verb: "migrate", domain: "gx", host: "other", sshCommand: "rsh" }],
    ["setenforce Permissive", { verb: "setenforce", enforce: false }],
    ["psr-hwinfo", { verb: "psr-hwinfo", cmt: true, cat: true, mba: true }],
    ["psr-hwinfo -a", { verb: "psr-hwinfo", cmt: false, cat: true, mba: false }],
    // An unambiguous beginning of a verb is enough.
    ["unp gx", { verb: "unpause", domain: "gx" }],
    ["domid -- -x", { verb: "domid", name: "-x" }],
  ])("xl %s", (line, expected) => {
    expect(command(line)).toMatchObject(expected);
  });

  test.each<[string, number, string]>([
    ["list -Q", 2, "option `Q' not supported.\n"],
    ["list --zork", 2, "option `\0' not supported.\n"],
    ["list --long=1", 2, "option `l' not supported.\n"],
    ["create -f", 2, "option `f' not supported.\n"],
    ["create --vnc", 2, "option `\0' not supported.\n"],
    ["-z list", 1, "xl: invalid option -- 'z'\nunknown global option\n"],
    ["--help", 1, "xl: invalid option -- '-'\nunknown global option\n"],
    ["-N list", 1, "command does not implement -N (dryrun) option\n"],
    ["p", 1, "command not implemented\n"],
    ["console -t foo x", 1, "console type supported are: pv, serial, vuart\n"],
    ["sched-credit -w 5", 1, "Must specify a domain.\n"],
    ["sched-credit -p a -d b", 1, "Specifying a cpupool or schedparam is not allowed with domain options.\n"],
    ["sched-rtds -e 2", 1, "Invalid extratime.\n"],
    ["psr-cat-set -l 4 a b", 1, "Input lvl 4 is wrong\n"],
  ])("xl %s is refused", (line, code, stderr) => {
    expect(exit(line)).toEqual({ code, stdout: "", stderr });
  });

  test("too many arguments show the usage", () => {
    expect(exit("list a b")).toEqual({ code: 1, stdout: help("list"), stderr: "" });
    expect(exit("create a.cfg -p b.cfg")).toEqual({ code: 2, stdout: help("create"), stderr: "" });
    expect(exit("save a b c d")).toEqual({ code: 1, stdout: help("save"), stderr: "" });
  });

  test("some refusals wait until the domain was found", () => {
    expect(parseCommandLine(words("usb-list a b"))).toEqual({
      kind: "exit",
      code: 255,
      stdout: "",
      stderr: "Invalid arguments.\n",
      domainFirst: "a",
    });
    expect(parseCommandLine(words("list -Q"))).toMatchObject({ domainFirst: null });
  });

  test("global options", () => {
    expect(parseCommandLine(words("-vvfNtT create x"))).toMatchObject({
      global: { verbose: 2, force: true, dryRun: true, progressCr: true, timestamps: true },
    });
    expect(parseCommandLine(words("create -n x"))).toMatchObject({ global: { dryRun: true } });
  });

  test("deprecated verbs say so first", () => {
    expect(parseCommandLine(words("button-press 1 power"))).toMatchObject({
      kind: "command",
      stderr: 'WARNING: "button-press" is deprecated. Please use "trigger"\n',
    });
  });
});

describe("help", () => {
  test("every verb has it, with all its options, from xl help and from -h", () => {
    for (const { verb } of commandTable) {
      const text = help(verb);
      expect(text.startsWith("Usage: xl [-vtT")).toBe(true);
      for (const { letter, help: lines } of verbOptions[verb] ?? []) {
        if (letter !== undefined && lines.length > 0) expect(text).toContain(`\n-${letter}`);
      }
      expect(exit(`help ${verb}`)).toEqual({ code: 0, stdout: text, stderr: "" });
    }
    expect(exit("list --help")).toEqual({ code: 0, stdout: help("list"), stderr: "" });
    expect(exit("list -vh")).toEqual({ code: 0, stdout: help("list"), stderr: "" });
  });

  test("on nothing xl has", () => {
    expect(exit("help zork")).toEqual({ code: 0, stdout: 'command "zork" not implemented\n', stderr: "" });
    expect(exit("help help").stdout).toBe(exit("help").stdout);
  });
});

// Every xl command line that occurs in the recordings of real Xen.
const recorded = `xl -vvv block-attach gv phy:/dev/loop1,xvdb,w
xl -vvv block-detach gv xvdb
xl -vvv create -p /tmp/ga.cfg
xl -vvv create /tmp/gb.cfg
xl -vvv destroy gk1
xl -vvv network-attach gv mac=00:16:3e:00:00:02 bridge=xenbr0
xl -vvv network-detach gv 1
xl -vvv restore /mnt/gi.save
xl -vvv save gi /mnt/gi.save
xl -vvv shutdown -w gv
xl block-attach 99 phy:/dev/loop0,xvda,w
xl block-detach gx xvda
xl block-list gv
xl console -t pv 1
xl create -p /tmp/gy.cfg
xl create /tmp/nosuch.cfg
xl debug-keys zz
xl destroy 0
xl destroy Domain-0
xl domid gh-renamed
xl domname 12
xl dump-core 1 /mnt/z.core
xl list
xl list -l
xl list -v 99
xl list nosuch
xl mem-max 99 64
xl mem-set 1 64
xl network-detach gx 0
xl network-list gv
xl pause gg
xl reboot -w gd2
xl rename gh gh-renamed
xl restore /etc/passwd
xl save gx /nosuchdir/x
xl shutdown -a -w
xl shutdown 99 -w
xl sysrq 1 h
xl unpause gx
xl uptime
xl vcpu-list
xl vcpu-list 99
xl vcpu-set 99 1
xl info
xl dmesg
xl dmesg -c`.split("\n");

test.each(recorded)("%s is understood", (line) => {
  const argv = words(line).slice(1);
  const verb = argv.find((word) => !word.startsWith("-"));
  expect(command(argv.join(" ")).verb).toBe(verb);
});

test("no command line makes it throw", () => {
  const word = fc.oneof(
    fc.constantFrom(...commandTable.map(({ verb }) => verb)),
    fc.constantFrom("-h", "--", "-", "-f", "-w", "--all", "k=v", "0", "help", ""),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
      const parsed = parseCommandLine(argv);
      if (parsed.kind === "exit") expect([0, 1, 2, 255]).toContain(parsed.code);
      else expect(commandTable.map(({ verb }) => verb)).toContain(parsed.command.verb);
    }),
  );
});
