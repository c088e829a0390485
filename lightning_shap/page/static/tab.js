// The page as a tab of TensorBoard, which gives it a frame of its own.

import { App } from "./app.js";
import { html } from "./dom.js";
import { ServedSource } from "./sources.js";
import { decoded } from "./view_state.js";

const KEY = "p.shap.view"; // as TensorBoard names what a plugin keeps in an address
const LOOK_AGAIN = 15_000;

/** What TensorBoard calls when the tab is opened. */
export async function render() {
  document.documentElement.lang = "en";
  document.title = "SHAP";
  document.head.append(
    html("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    html("link", { rel: "stylesheet", href: "./style.css" }),
  );
  followTheme();
  const { parent } = window;
  const isOurs = () => /^#shap(&|$)/.test(parent.location.hash);
  const said = () => new URLSearchParams(parent.location.hash.replace(/^#[^&]*/, "")).get(KEY);
  const app = new App(document.body, new ServedSource(), {
    view: decoded(said() ?? ""),
    linkOf: (view) => {
      const address = new URL(parent.location.href);
      address.hash = `shap&${new URLSearchParams({ [KEY]: view })}`;
      return address.href;
    },
    // The address is of the tab that is open, which need not be this one.
    follow: (address, isPassing) => {
      if (!isOurs() || parent.location.href === address) return;
      parent.history[isPassing ? "replaceState" : "pushState"](parent.history.state, "", address);
    },
  });
  parent.addEventListener("hashchange", () => {
    if (isOurs() && said() !== null) app.goTo(decoded(said()));
  });
  await app.draw();
  onReload(() => app.reload());
  setInterval(() => !document.hidden && app.lookAgain(), LOOK_AGAIN);
}

/** Light or dark as TensorBoard is. */
function followTheme() {
  const { body } = window.parent.document;
  const follow = () => {
    const dark = body.classList.contains("dark-mode");
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  new MutationObserver(follow).observe(body, { attributes: true, attributeFilter: ["class"] });
  follow();
}

/** TensorBoard says through a port of its own when its data was loaded again. */
function onReload(work) {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.isReply) return;
    if (message.type === "experimental.DataReloaded") work();
    const reply = { type: message.type, id: message.id, payload: null, error: null, isReply: true };
    port1.postMessage(JSON.stringify(reply));
  };
  window.parent.postMessage("experimental.bootstrap", "*", [port2]);
}
