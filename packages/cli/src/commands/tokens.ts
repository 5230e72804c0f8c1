/** The own API tokens; they are made in the browser, for no token makes another. */
import { type Call, show, tell } from "../call.ts";
import { Problem } from "../problem.ts";
import { table } from "../table.ts";
import { relative, visible } from "../text.ts";
import * as wire from "../wire.ts";

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
