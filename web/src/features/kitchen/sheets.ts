// What comes after the page, together.
export { AllDayPanel } from "./AllDayPanel";
export { KeysHelp } from "./KeysHelp";
export { Recall } from "./Recall";
