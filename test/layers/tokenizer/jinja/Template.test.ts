// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Spans from "../../../../src/domain/Spans.ts"
import { Str } from "../../../../src/layers/tokenizer/jinja/Str.ts"
import * as Template from "../../../../src/layers/tokenizer/jinja/Template.ts"

const Golden = Schema.Array(Schema.Struct({
  template: Schema.String,
  messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.String })),
  add_generation_prompt: Schema.Boolean,
  text: Schema.NullOr(Schema.String)
}))

const goldens = Schema.decodeSync(Schema.fromJsonString(Golden))(
  readFileSync(new URL("../../../fixtures/chat-templates/golden.json", import.meta.url), "utf8")
)

const Expressions = Schema.Struct({
  variables: Schema.Record(Schema.String, Schema.Json),
  cases: Schema.Array(Schema.Tuple([Schema.String, Schema.NullOr(Schema.String)]))
})

const expressions = Schema.decodeSync(Schema.fromJsonString(Expressions))(
  readFileSync(new URL("../../../fixtures/chat-templates/expressions.json", import.meta.url), "utf8")
)

const render = (source: string, variables: Readonly<Record<string, Template.Input>>) =>
  Result.flatMap(Template.make(source), (template) => template.render(variables))

const foreign = (text: string) => new Str(Spans.foreign(text))

describe("templates", () => {
  it(`render as transformers 5.24 with jinja2 3.1.6 renders them, or are refused as there: ${goldens.length} cases`, () => {
    assert.isAbove(goldens.length, 180)
    for (const { add_generation_prompt, messages, template, text } of goldens) {
      const rendered = render(template, {
        bos_token: "<s>",
        eos_token: "</s>",
        tools: null,
        documents: null,
        messages,
        add_generation_prompt
      })
      const found = Result.isSuccess(rendered) ? Spans.text(rendered.success) : null
      assert.strictEqual(found, text, `${template}\n${Result.isFailure(rendered) ? rendered.failure : ""}`)
    }
  })

  it(`give of each filter, test, method and operator what jinja2 3.1.6 gives: ${expressions.cases.length} cases`, () => {
    assert.isAbove(expressions.cases.length, 1100)
    for (const [template, text] of expressions.cases) {
      const rendered = render(template, expressions.variables)
      const found = Result.isSuccess(rendered) ? Spans.text(rendered.success) : null
      assert.strictEqual(found, text, `${template}\n${Result.isFailure(rendered) ? rendered.failure : ""}`)
    }
  })

  it.each([
    ["{% include 'x' %}", /line 1: {% include %} is not supported/],
    ["{% if true %}\n{% extends 'x' %}{% endif %}", /line 2: {% extends %} is not supported/],
    ["{{ x | urlize }}", /the filter 'urlize' is not supported/],
    ["{{ (x | safe) + 'a' }}", /the filter 'safe' within an expression is not supported/],
    ["{{ x | attr('y') }}", /not supported/],
    ["{{ x.encode() }}", /str\.encode is not supported/],
    ["{{ '%e' % 1.5 }}", /the format %e is not supported/],
    ["{{ cycler(1, 2) }}", /cycler\(\) is not supported/],
    ["{{ [1] | map('string') }}", /a generator cannot be printed/],
    ["{{ (-2) ** 0.5 }}", /a complex number is not supported/],
    ["{{ strftime_now('%Q') }}", /the directive %Q of strftime is not supported/],
    ["{{ groups | groupby('a') }}", /not supported/]
  ])("say what is not supported of %j and render nothing else", (source, message) => {
    const rendered = render(source, { x: "text", groups: [] })
    assert.match(Result.isFailure(rendered) ? rendered.failure : "", message)
  })

  it.each([
    ["a\n{% if x %}", /line 2: the template ends where {% elif %} or {% else %} or {% endif %} is expected/],
    ["{{ 'open }}", /line 1: unexpected character/],
    ["{{ (1] }}", /unexpected "]", expected "\)"/],
    ["{{ 1 + }}", /unexpected "}}", expected an expression/],
    ["\n\n{% wrong %}", /line 3: unknown tag {% wrong %}/],
    ["{{ 1 | wrong }}", /there is no filter named 'wrong'/],
    ["{% for x in y %}{{ x", /a tag is not closed/],
    ["{# x", /a comment is not closed/],
    ["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /it calls itself too often/]
  ])("say what is wrong with %j", (source, message) => {
    const rendered = render(source, { x: true })
    assert.match(Result.isFailure(rendered) ? rendered.failure : "", message)
  })

  it("tell the date as Python does", () => {
    const now = new Date()
    const rendered = render("{{ strftime_now('%Y-%m-%d %b %-d') }}", {})
    const month = now.toLocaleString("en-US", { month: "short" })
    const date = `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, "0")}-${
      String(now.getDate()).padStart(2, "0")
    }`
    assert.strictEqual(Spans.text(Result.getOrThrow(rendered)), `${date} ${month} ${now.getDate()}`)
  })
})

describe("foreign text", () => {
  const foreignParts = (source: string, text: string) =>
    Result.getOrThrow(render(source, { text: foreign(text), list: [foreign(text)] }))
      .filter((span) => span.foreign)
      .map((span) => span.text)

  it.each<[string, ReadonlyArray<string>]>([
    ["a{{ text }}b", [" <|x|> y "]],
    ["a{{ text | trim }}b", ["<|x|> y"]],
    ["a{{ text.strip() + '<|x|>' }}b", ["<|x|> y"]],
    ["{{ text.split('|')[1] ~ text.upper() }}", ["x <|X|> Y "]],
    ["{{ text.replace('x', '-') }}", [" <|", "|> y "]],
    ["{{ text[2:4] }}{{ text | reverse }}", ["|x y >|x|< "]],
    ["{{ text | tojson }}", [" <|x|> y "]],
    ["{{ list }}", [" <|x|> y "]],
    ["{{ {'k': text} | tojson(indent=1) }}", [" <|x|> y "]],
    ["{{ '%s|%5s' % (text, 'a') }}", [" <|x|> y "]],
    ["{{ 'a {} b'.format(text) }}", [" <|x|> y "]],
    ["{{ list | map('trim') | join('<|x|>') }}", ["<|x|> y"]],
    ["{% set t = text %}{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(t) }}", [" <|x|> y "]],
    ["{% set t %}{{ text }}{% endset %}{{ t | title }}", [" <|x|> Y "]],
    ["{% for c in text %}{{ c }}.{% endfor %}", [" ", "<", "|", "x", "|", ">", " ", "y", " "]],
    ["{% filter upper %}a{{ text }}b{% endfilter %}", [" <|X|> Y "]],
    ["{{ text | indent }}{{ text.center(11, '*') }}", [" <|x|> y ", " <|x|> y "]],
    ["{{ text | truncate(5, true, '<|', 0) }}", [" <|"]],
    ["{{ text | capitalize }}{{ text.partition('x')[2] }}", [" <|x|> y |> y "]],
    ["{% if text == ' <|x|> y ' %}own{% endif %}", []]
  ])("stays foreign through %s", (source, expected) => {
    assert.deepStrictEqual(foreignParts(source, " <|x|> y "), expected)
  })
})
