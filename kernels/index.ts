export { initThread, run, workerLoop } from "./runtime"
