// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { commandReference } from "./reference.ts";
import { commands, loadCommands } from "./table.ts";
import { ownFile } from "./self.ts";

test("the reference page is what the command table says", async () => {
  await expect(commandReference(await loadCommands())).toMatchFileSnapshot(
    ownFile("docs/reference/commands.md"),
  );
});

test("the table and the commands agree on names and summaries", async () => {
  const loaded = await loadCommands();
  expect(loaded.map(({ name, summary }) => ({ name, summary }))).toEqual(
    commands.map(({ name, summary }) => ({ name, summary })),
  );
});

test("every command has examples that call it", async () => {
  const without = (await loadCommands()).filter(
    ({ name, examples }) => !examples.some((example) => example.includes(`xenolith ${name}`)),
  );
  expect(without.map(({ name }) => name)).toEqual([]);
});
