// Who may sign in, and which programs may call the API.

import type { JSX } from "preact";
import { PageHead } from "../../ui/parts";
import { Tokens } from "./tokens";
import { Users } from "./users";

/** The page. */
export function Access(): JSX.Element {
  return (
    <>
      <PageHead title="Users and tokens" lead="Viewers read what is no secret. Operators change peers and rules, and read the audit log. Administrators do everything." />
      <Users />
      <Tokens />
    </>
  );
}
