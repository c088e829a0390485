// The page as a file of its own.

import { App } from "./app.js";
import { CarriedSource } from "./sources.js";
import { decoded } from "./view_state.js";

const source = new CarriedSource(JSON.parse(document.getElementById("explanations").textContent));
const said = () => decoded(window.location.hash.slice(1));
const app = new App(document.body, source, {
  view: said(),
  linkOf: (view) => `#${view}`,
  follow: (address, isPassing) => {
    if (window.location.hash === address) return;
    window.history[isPassing ? "replaceState" : "pushState"](null, "", address);
  },
});
window.addEventListener("popstate", () => app.goTo(said()));
app.draw();
