// Where the page begins.
import "./style/base.css";
import "./style/frame.css";
import "./style/controls.css";
import "./style/lists.css";
import "./style/views.css";
import "./style/forms.css";
import "./style/narrow.css";
import { render } from "preact";
import { App } from "./app";
import { startKeyboard } from "./lib/keyboard";
import { startTheme } from "./lib/session";

startTheme();
startKeyboard();
render(<App />, document.getElementById("page")!);
