/** login, logout, whoami. */
import { type Call, show, tell } from "../call.ts";
import { Client } from "../client.ts";
import { findLogin, forgetLogin, saveLogin, serverUrl } from "../login.ts";
import { usageProblem } from "../problem.ts";
import { facts } from "../table.ts";
import { visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function login(call: Call): Promise<undefined> {
  const { world } = call;
  const url = serverUrl(call.args.word("URL"));
  const token = (world.env.RM_API_TOKEN ?? (await world.readSecret(`API token for ${url}: `))).trim();
  if (token === "") throw usageProblem("No token was given. Type it, or send it to stdin.");
  if (!/^rmt_[\w-]{1,200}$/.test(token)) {
    throw usageProblem("This is no API token: it begins with rmt_. Make one in Settings, Account.");
  }
  const { raw, data } = await new Client({ url, token }, world.interrupted).get("/api/auth/me", wire.me);
  const file = await saveLogin(world, { url, token });
  const isClear = url.startsWith("http:") && !/^http:\/\/(localhost|127\.|\[::1\])/.test(url);
  if (isClear)
    await world.err.write("Warning: over http:// the token can be read on its way. Use https://.\n");
  await tell(
    call,
    raw,
    `Logged in to ${url} as ${visible(data.username)} (${visible(data.role)}); kept in ${file}.`,
  );
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
