// The page as a file of its own.

import { App } from "./app.js";
import { CarriedSource } from "./sources.js";
import { decoded } from "./view_state.js";

const source = new CarriedSource(JSON.parse(document.getElementById("explanations").textContent));
const app = new App(document.body, source, {
  view: decoded(window.location.hash.slice(1)),
  linkOf: (view) => `#${view}`,
});
window.addEventListener("hashchange", () => {
  Object.assign(app.view, decoded(window.location.hash.slice(1)));
  app.draw();
});
app.draw();
