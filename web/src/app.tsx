// The page as a whole: who is signed in decides whether the gate or the frame shows, the address which page.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { session, sessionEnded } from "./api/client";
import { Frame } from "./frame";
import { Access } from "./pages/access";
import { AddPeer } from "./pages/add-peer";
import { Alerts } from "./pages/alerts";
import { Audit } from "./pages/audit";
import { ChangePassword } from "./pages/password";
import { Overview } from "./pages/overview";
import { PeerPage } from "./pages/peer";
import { Peers } from "./pages/peers";
import { Rules } from "./pages/rules";
import { Settings } from "./pages/settings";
import { SignIn, SignInAgain } from "./pages/sign-in";
import { Topology } from "./pages/topology";
import { keyFromPath } from "./lib/keys";
import { route } from "./router";
import { readGateway } from "./state/gateway";
import { recall } from "./state/session";
import { Failure, PageHead } from "./ui/parts";
import { Toasts } from "./ui/toasts";

/** The page. */
export function App(): JSX.Element {
  return (
    <>
      <Inside />
      <Toasts />
    </>
  );
}

function Inside(): JSX.Element | null {
  const [error, setError] = useState<unknown>(null);
  const who = session.value;
  const ask = () => {
    setError(null);
    recall().catch(setError);
  };
  useEffect(ask, []);
  const admitted = Boolean(who && !who.must_change_password);
  useEffect(() => {
    if (admitted) void readGateway();
  }, [admitted]);

  if (who === undefined) return error === null ? null : <main class="gate"><Failure error={error} again={ask} /></main>;
  if (who === null) return <SignIn />;
  if (who.must_change_password) return <ChangePassword forced />;
  return (
    <>
      <Frame>
        <Page />
      </Frame>
      {sessionEnded.value && <SignInAgain />}
    </>
  );
}

function Page(): JSX.Element {
  const { path } = route.value;
  const [first = "", second] = path;
  switch (first) {
    case "":
      return <Overview />;
    case "peers":
      if (second === "new") return <AddPeer />;
      return second ? <PeerPage key={second} publicKey={keyFromPath(second)} /> : <Peers />;
    case "topology":
      return <Topology />;
    case "rules":
      return <Rules />;
    case "alerts":
      return <Alerts />;
    case "audit":
      return <Audit />;
    case "access":
      return <Access />;
    case "settings":
      return <Settings />;
    case "password":
      return <ChangePassword />;
    default:
      return (
        <>
          <PageHead title="Nothing here" lead="This address names no page." />
          <p>
            <a href="#/">Go to the overview</a>
          </p>
        </>
      );
  }
}
