/** The own API tokens. */
import { type Call, show, tell } from "../call.ts";
import { wholeNumber } from "../lookup.ts";
import { Problem, usageProblem } from "../problem.ts";
import { table } from "../table.ts";
import { relative, utc, visible } from "../text.ts";
import * as wire from "../wire.ts";

const dayMs = 24 * 60 * 60_000;

export async function listTokens(call: Call): Promise<undefined> {
  const { raw, data } = await (await call.client()).get("/api/auth/tokens", wire.tokens);
  const now = call.world.now();
  await show(call, raw, (columns) =>
    table(
      [
        { title: "NAME", yields: true },
        { title: "ROLE" },
        { title: "MADE" },
        { title: "USED" },
        { title: "ENDS" },
      ],
      data.tokens.map((token) => [
        token.name,
        token.role,
        relative(token.created_at, now),
        token.last_used_at === null ? "never" : relative(token.last_used_at, now),
        token.expires_at === null ? "never" : relative(token.expires_at, now),
      ]),
      columns,
    ),
  );
}

export async function createToken(call: Call): Promise<undefined> {
  const { args, world } = call;
  const role = args.text("role");
  if (role === undefined)
    throw usageProblem("Say the most that it may do: --role admin, operator or viewer.");
  const days = wholeNumber("days", args.text("days"));
  const ends = days === undefined ? {} : { expires_at: new Date(world.now() + days * dayMs).toISOString() };
  const body = { name: args.word("NAME"), role, ...ends };
  const { raw, data } = await (await call.client()).post("/api/auth/tokens", body, wire.madeToken);
  // The token alone on stdout, so that a script takes it with $(…); the rest is for eyes.
  await show(call, raw, () => `${visible(data.token)}\n`);
  if (call.json) return;
  const end = data.expires_at === null ? "never ends" : `ends ${utc(data.expires_at)}`;
  await world.err.write(`Keep it now: it is not shown again. It ${end}.\n`);
}

export async function revokeToken(call: Call): Promise<undefined> {
  const client = await call.client();
  const word = call.args.word("NAME");
  const { data } = await client.get("/api/auth/tokens", wire.tokens);
  const token = data.tokens.find(({ name, id }) => name === word || id === word);
  if (!token) {
    throw new Problem(
      "not_found",
      "cli.no_such_token",
      "You have no token of this name. See: rmctl tokens list",
    );
  }
  await client.delete(`/api/auth/tokens/${token.id}`);
  await tell(call, token, `The token "${visible(token.name)}" is revoked.`);
}
