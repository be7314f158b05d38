// Where the page begins.
import "./style.css";
import { render } from "preact";
import { App } from "./app";
import { startKeyboard } from "./lib/keyboard";
import { startTheme } from "./lib/session";

startTheme();
startKeyboard();
render(<App />, document.getElementById("page")!);
