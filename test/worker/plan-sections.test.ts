/** The plan's text, without git. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  bytesOf,
  epicMarker,
  epicsOf,
  hasSections,
  newSection,
  preambleOf,
  sectionOf,
  shortened,
  textOf,
  titleOf,
  withoutSections,
  withSection,
} from "../../worker-image/plan/sections.ts";

const ONE = "00000000-0000-7000-8000-000000000001";
const TWO = "00000000-0000-7000-8000-000000000002";

const PLAN = `# Plan

By hand, for all.

## Login ${epicMarker(ONE)}

Goal: a login.

## Steps

1. form

### Search <!--epic:${TWO.toUpperCase()}-->
Goal: a search.
`;

test("a section goes from its marked heading to the next one of any epic, headings of its own included", () => {
  assert.equal(sectionOf(PLAN, ONE), `## Login ${epicMarker(ONE)}\n\nGoal: a login.\n\n## Steps\n\n1. form`);
  assert.equal(sectionOf(PLAN, TWO), `### Search <!--epic:${TWO.toUpperCase()}-->\nGoal: a search.`);
  assert.equal(sectionOf(PLAN, "00000000-0000-7000-8000-000000000003"), null);
  assert.equal(sectionOf("", ONE), null);
  assert.equal(sectionOf(`no heading ${epicMarker(ONE)}\n`, ONE), null);
});

test("a section is put in the place of the one before, and nothing else changes", () => {
  const section = `## Login ${epicMarker(ONE)}\n\nDone.`;
  const changed = withSection(PLAN, ONE, section);
  assert.equal(sectionOf(changed, ONE), section);
  assert.equal(sectionOf(changed, TWO), sectionOf(PLAN, TWO));
  assert.equal(preambleOf(changed), "# Plan\n\nBy hand, for all.");
  assert.equal(withSection(changed, ONE, sectionOf(PLAN, ONE) ?? ""), PLAN, "and back again");
});

test("sections of some epics are taken out, whatever else is there stays as it is", () => {
  assert.deepEqual(epicsOf(PLAN), [ONE, TWO]);
  assert.equal(withoutSections(PLAN, []), PLAN);
  assert.equal(withoutSections(PLAN, [ONE]), PLAN.replace(`${sectionOf(PLAN, ONE)}\n\n`, ""));
  assert.equal(withoutSections(PLAN, [ONE, TWO]), "# Plan\n\nBy hand, for all.\n\n");
  const twice = `${PLAN}\n## Login again ${epicMarker(ONE)}\n`;
  assert.deepEqual(epicsOf(twice), [ONE, TWO]);
  assert.deepEqual(epicsOf(withoutSections(twice, [ONE])), [TWO]);
});

test("a section is called what its heading says", () => {
  assert.equal(titleOf(sectionOf(PLAN, TWO) ?? ""), "Search");
  assert.equal(titleOf(newSection({ id: ONE, title: "Ä #1" }).trim()), "Ä 1");
  assert.equal(titleOf(""), "");
});

test("a new section comes last; in an empty plan it is all there is", () => {
  const epic = { id: "00000000-0000-7000-8000-000000000003", title: "Ä <!-- epic: x --> #1\nnext" };
  const section = newSection(epic);
  assert.equal(bytesOf(section).toString(), `## Ä epic: x 1 next ${epicMarker(epic.id)}\n`);
  const changed = withSection(PLAN, epic.id, section);
  assert.ok(changed.startsWith(PLAN) && changed.endsWith(`\n\n${section}`));
  assert.equal(withSection("", epic.id, section), section);
  assert.ok(newSection({ id: ONE, title: " " }).startsWith("## Epic <!--"));
});

test("two sections of one epic become one", () => {
  const twice = `${PLAN}\n## Again ${epicMarker(ONE)}\nmore\n`;
  const both = sectionOf(twice, ONE) ?? "";
  assert.match(both, /a login[\s\S]*more$/);
  const joined = withSection(twice, ONE, both);
  assert.equal(sectionOf(joined, ONE), both);
  assert.equal(sectionOf(joined, TWO), sectionOf(PLAN, TWO));
});

test("bytes of others come through as they are, in any encoding and with a no-break space at an end", () => {
  const other = Buffer.from([0x23, 0x20, 0xff, 0xfe, 0x0a, 0xc3, 0xa0, 0x0a]);
  const plan = withSection(textOf(other), ONE, newSection({ id: ONE, title: "x" }));
  assert.deepEqual(bytesOf(plan).subarray(0, other.length), other);
  const breaking = `## Search ${epicMarker(TWO)}\nA line that breaks:  `;
  assert.equal(sectionOf(withSection(`${breaking}\n \n`, ONE, newSection({ id: ONE, title: "x" })), TWO), breaking);
});

test("a plan without marks has no sections; a long one is shown without those of others", () => {
  assert.equal(hasSections("# Plan\n\n## Steps\n"), false);
  assert.equal(hasSections(PLAN), true);
  assert.equal(shortened(PLAN, ONE, 10_000), PLAN);
  const short = shortened(PLAN, ONE, 10);
  assert.match(short, /^<!-- 1 sections? of other epics/);
  assert.equal(sectionOf(short, ONE), sectionOf(PLAN, ONE));
  assert.equal(sectionOf(short, TWO), null);
});

test("whatever the plan is, a section that is put in is found again and no line of others is lost or moved", () => {
  const markers = [ONE, TWO].flatMap((id) => [`## Title ${epicMarker(id)}`, `# ${epicMarker(id)} x`]);
  const line = fc.oneof(fc.constantFrom(...markers, "", "## Steps", "text", "```"), fc.string());
  const content = fc.array(fc.constantFrom("", "## Steps", "- done"), { maxLength: 5 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.boolean(), content, (lines, ends, body) => {
      const plan = lines.join("\n") + (ends ? "\n" : "");
      const section = [`## Title ${epicMarker(ONE)}`, ...body, "last"].join("\n");
      const changed = withSection(plan, ONE, section);
      assert.equal(sectionOf(changed, ONE), section);
      assert.equal(withSection(changed, ONE, section), changed, "once more changes nothing");
      assert.deepEqual(fullLines(sectionOf(changed, TWO)), fullLines(sectionOf(plan, TWO)));
      assert.deepEqual(fullLines(preambleOf(changed)), fullLines(preambleOf(plan)));
    }),
  );
});

function fullLines(text: string | null): string[] {
  return (text ?? "").split("\n").filter((line) => /[^ \t\r]/.test(line));
}
