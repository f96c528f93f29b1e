/** Lines about long work on standard error: how far it is, and how long it will take. */

export interface Progress {
  readonly begin: (title: string, total: number) => void
  readonly step: (said: string) => void
  readonly end: () => void
}

export const spoken = (milliseconds: number): string =>
  milliseconds < 90_000 ? `${Math.round(milliseconds / 1000)} s` : `${Math.round(milliseconds / 60_000)} min`

export const makeProgress = (): Progress => {
  const screen = process.stderr.isTTY
  let [title, total, done, began, told] = ["", 0, 0, 0, 0]
  return {
    begin(next, count) {
      ;[title, total, done, began, told] = [next, count, 0, performance.now(), 0]
    },
    step(said) {
      done += 1
      const now = performance.now()
      // a screen shows one line that changes, a log gets one every 15 seconds
      if (!screen && now - told < 15_000 && done < total) return
      told = now
      const left = (now - began) / done * (total - done)
      const line = `${title}: ${done} of ${total}, ${spoken(left)} left  ${said}`
      process.stderr.write(screen ? `\r\u001b[2K${line.slice(0, process.stderr.columns - 1)}` : `${line}\n`)
    },
    end() {
      if (screen) process.stderr.write("\r\u001b[2K")
    }
  }
}
