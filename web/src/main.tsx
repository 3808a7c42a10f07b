// Starts the page.

import { render } from "preact";
import { followVisibility } from "./api/live";
import { App } from "./app";
import { followAddress } from "./router";
import { followGateway } from "./state/gateway";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/forms.css";
import "./style/charts.css";
import "./style/pages.css";

followAddress();
followVisibility();
followGateway();

const root = document.getElementById("app");
if (root) render(<App />, root);
