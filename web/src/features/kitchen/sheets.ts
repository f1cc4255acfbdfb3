// Components loaded after the first view, in one chunk.
export { AllDayPanel } from "./AllDayPanel";
export { KeysHelp } from "./KeysHelp";
export { Recall } from "./Recall";
