/** The form of a new host, posted: the same whether a token is made of it or a machine is accepted. */
import { z } from "zod";
import type { Refusal } from "../../platform/http/forms.ts";
import {
  accessFormShape,
  accessProblems,
  readAccessForm,
  type TypedAccess,
  typedSecrets,
  unprefixed,
  withoutSecrets,
} from "../repositories/repositories.ts";
import type { PlanInput } from "./enrolment-plan.ts";

/** As long as it likes: the rule beside the field answers, not a page about a bad request. */
const typed = z.string().default("");
const own = z.object({ hostname: typed, tags: typed, initial_paths: typed });
const access = z.object(accessFormShape());

/** What is posted; more fields may be added. */
export const planForm = own.extend(access.shape);
export type PlanForm = z.output<typeof own> & TypedAccess;

export const readPlanForm = (posted: z.output<typeof planForm>): PlanForm =>
  ({ ...posted, ...unprefixed(posted) }) as PlanForm;

/** An empty field of a form is an absent one. */
export function planOfForm(form: PlanForm): PlanInput {
  const { location = "", restUsername, password, ...settings } = readAccessForm(form, null);
  return {
    ...settings,
    hostName: form.hostname.trim(),
    repoUrl: location,
    repoUsername: restUsername,
    repoPassword: password,
    tags: form.tags.split(","),
    initialPaths: form.initial_paths.split("\n").map((line) => line.trim()),
  };
}

/** What was typed, except the secrets. */
export function typedAgain(form: PlanForm, refusal: Refusal) {
  const { hostname, tags, initial_paths } = form;
  const values = { ...withoutSecrets(unprefixed(form)), hostname, tags, initial_paths };
  // An empty password would now be read as "make one": say that it has to be typed again.
  const lost = Object.fromEntries(
    typedSecrets(unprefixed(form)).map((name) => [name, "Type it again: passwords are not sent back."]),
  );
  const errors = { ...lost, ...accessProblems(refusal.errors, form) };
  const message = refusal.message === undefined ? {} : { message: refusal.message };
  return { values, errors, ...message };
}
