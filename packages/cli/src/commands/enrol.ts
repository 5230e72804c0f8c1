/** Enrolment tokens. */
import { type Call, show } from "../call.ts";
import { segment } from "../client.ts";
import { usageProblem } from "../problem.ts";
import { facts } from "../table.ts";
import { utc } from "../text.ts";
import * as wire from "../wire.ts";

export async function createEnrolment(call: Call): Promise<undefined> {
  const { args, world } = call;
  const repository = args.text("repository");
  if (repository === undefined) throw usageProblem("Say where the host backs up to: --repository URL.");
  const client = await call.client();
  const body = {
    hostname: args.word("HOSTNAME"),
    repo_url: repository,
    ...given("repo_username", args.text("username")),
    ...given("repo_password", world.env.RM_REPO_PASSWORD),
    ...given("rest_password", world.env.RM_REST_PASSWORD),
    tags: args.texts("tag"),
    initial_paths: args.texts("path"),
  };
  const { raw, data } = await client.post("/api/enrollment-tokens", body, wire.enrolment);
  await show(call, raw, () =>
    facts([
      ["Id", data.id],
      ["Token", data.token],
      ["Ends", utc(data.expires_at)],
      ["Password", data.repo_password],
      ["On the host", `RM_SERVER=${client.url} RM_TOKEN=… restic-manager-agent enrol`],
    ]),
  );
}

export async function showEnrolment(call: Call): Promise<undefined> {
  const path = `/api/enrollment-tokens/${segment(call.args.word("ID"))}`;
  const { raw, data } = await (await call.client()).get(path, wire.enrolmentState);
  await show(call, raw, () =>
    facts([
      ["Host name", data.hostname],
      ["State", data.state],
      ["Ends", utc(data.expires_at)],
      ["Host id", data.host_id ?? undefined],
    ]),
  );
}

const given = (name: string, value: string | undefined): Record<string, string> =>
  value === undefined || value === "" ? {} : { [name]: value };
