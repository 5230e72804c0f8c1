/** login, logout, whoami. */
import { type Call, show, tell } from "../call.ts";
import { Client } from "../client.ts";
import { findLogin, forgetLogin, isReadableOnTheWay, saveLogin, serverUrl } from "../login.ts";
import { Problem, usageProblem } from "../problem.ts";
import { facts } from "../table.ts";
import { visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function login(call: Call): Promise<undefined> {
  const { world } = call;
  const url = serverUrl(call.args.word("URL"));
  if (isReadableOnTheWay(url)) await warnOrRefuse(call);
  const typed = world.env.RM_API_TOKEN ?? (await world.readSecret(`API token for ${url}: `));
  if (typed === null) throw new Problem("interrupted", "cli.interrupted", "Interrupted.");
  const token = typed.trim();
  if (token === "") throw usageProblem("No token was given. Type it, or send it to stdin.");
  if (!/^rmt_[\w-]{1,200}$/.test(token)) {
    throw usageProblem("This is no API token: it begins with rmt_. Make one in Settings, Account.");
  }
  const { raw, data } = await new Client({ url, token }, world.interrupted).get("/api/auth/me", wire.me);
  const file = await saveLogin(world, { url, token });
  await tell(
    call,
    raw,
    `Logged in to ${url} as ${visible(data.username)} (${visible(data.role)}); kept in ${file}.`,
  );
}

/** Before the token is asked for, and long before it is sent. */
async function warnOrRefuse({ args, world }: Call): Promise<void> {
  const danger = "Over http:// everybody on the way can read the token.";
  if (!args.is("insecure"))
    throw usageProblem(`${danger} Use https://, or add --insecure if you accept that.`);
  await world.err.write(`Warning: ${danger}\n`);
}

export async function logout(call: Call): Promise<undefined> {
  const was = await forgetLogin(call.world);
  await tell(
    call,
    { logged_out: was },
    was ? "Logged out. The token goes on until it is revoked." : "You were not logged in.",
  );
}

export async function whoami(call: Call): Promise<undefined> {
  const { url } = await findLogin(call.world);
  const client = await call.client();
  const { raw, data } = await client.get("/api/auth/me", wire.me);
  const server = await client.get("/api/version", wire.version);
  await show(call, raw, () =>
    facts([
      ["Server", `${url} (${server.data.version})`],
      ["User", data.username],
      ["Role", data.role],
    ]),
  );
}
