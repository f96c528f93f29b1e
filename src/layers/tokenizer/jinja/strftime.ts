/**
 * Python's `strftime` in the C locale, in local time.
 *
 * @since 0.2.0
 */
import { unsupported } from "./JinjaError.ts"

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December"
]

const dayOfYear = (date: Date): number =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000
  ) + 1

const padded = (value: number, width = 2): string => String(value).padStart(width, "0")

const directives: Readonly<Record<string, (date: Date) => string>> = {
  "%": () => "%",
  A: (date) => days[date.getDay()] ?? "",
  B: (date) => months[date.getMonth()] ?? "",
  D: (date) => strftime(date, "%m/%d/%y"),
  F: (date) => strftime(date, "%Y-%m-%d"),
  H: (date) => padded(date.getHours()),
  I: (date) => padded(date.getHours() % 12 || 12),
  M: (date) => padded(date.getMinutes()),
  R: (date) => strftime(date, "%H:%M"),
  S: (date) => padded(date.getSeconds()),
  T: (date) => strftime(date, "%H:%M:%S"),
  X: (date) => strftime(date, "%H:%M:%S"),
  Y: (date) => String(date.getFullYear()),
  a: (date) => days[date.getDay()]?.slice(0, 3) ?? "",
  b: (date) => months[date.getMonth()]?.slice(0, 3) ?? "",
  c: (date) => strftime(date, "%a %b %e %H:%M:%S %Y"),
  d: (date) => padded(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2),
  f: (date) => padded(date.getMilliseconds() * 1000, 6),
  h: (date) => strftime(date, "%b"),
  j: (date) => padded(dayOfYear(date), 3),
  m: (date) => padded(date.getMonth() + 1),
  n: () => "\n",
  p: (date) => date.getHours() < 12 ? "AM" : "PM",
  t: () => "\t",
  u: (date) => String(date.getDay() || 7),
  w: (date) => String(date.getDay()),
  x: (date) => strftime(date, "%m/%d/%y"),
  y: (date) => padded(date.getFullYear() % 100)
}

/**
 * @category conversions
 * @since 0.2.0
 */
export const strftime = (date: Date, format: string): string =>
  format.replaceAll(/%(-?)([^])/g, (whole, unpadded: string, directive: string) => {
    const value = directives[directive]?.(date) ?? unsupported(`the directive ${whole} of strftime`)
    return unpadded === "" ? value : value.replace(/^[0 ]+(?=.)/, "")
  })
