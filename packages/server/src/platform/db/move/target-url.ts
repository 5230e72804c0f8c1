/** Which PostgreSQL database is moved into. A password never stands in an argument, which every user can read. */
import { AppError } from "../../errors.ts";

/** Where the URL leads: `--to`, or the setting when there is none. @throws AppError with what is wrong with it */
export function chooseTarget(argument: string | undefined, configured: string | undefined): string {
  if (argument === undefined) {
    if (configured) return configured;
    const message =
      "Say where to move the database to: --to postgres://USER@HOST/DATABASE with the password in PGPASSWORD or PGPASSFILE, or the whole URL in RM_DATABASE_URL.";
    throw new AppError("invalid", "database.no_target", message);
  }
  const url = URL.canParse(argument) ? new URL(argument) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    const message = "--to takes a URL such as postgres://USER@HOST/DATABASE.";
    throw new AppError("invalid", "database.no_target", message);
  }
  if (url.password !== "" || url.searchParams.has("password")) {
    const message =
      "Every user of this machine can read arguments: leave the password out of --to. Set PGPASSWORD or PGPASSFILE, or put the whole URL into RM_DATABASE_URL and leave --to out.";
    throw new AppError("invalid", "database.password_in_argument", message);
  }
  return argument;
}
