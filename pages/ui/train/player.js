// The bar of a replay: play, pace and place. Between two looks of the server it moves on by itself.

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds))
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((one) => String(one).padStart(2, "0"))
  const hours = Math.floor(whole / 3600)
  return hours ? `${hours}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`
}

class Player {
  constructor(root) {
    this.play = make("button", "play")
    this.play.type = "button"
    this.play.onclick = () => this.tell({ play: !this.data.playing })
    this.track = make("div", "track")
    this.marks = make("div", "marks")
    this.place = make("input", "place")
    this.place.type = "range"
    this.place.min = 0
    this.place.step = 1
    this.place.setAttribute("aria-label", "Moment of the training")
    this.place.oninput = () => {
      this.held = true
      this.show(Number(this.place.value))
    }
    this.place.onchange = () => {
      this.held = false
      this.tell({ seek: Number(this.place.value) })
    }
    this.track.append(this.marks, this.place)
    this.time = make("span", "time")
    this.speeds = make("div", "speeds")
    this.speeds.setAttribute("role", "group")
    this.speeds.setAttribute("aria-label", "Pace")
    this.leave = make("button", "leave", "End replay")
    this.leave.type = "button"
    this.leave.title = "Show the run as it ended"
    this.leave.onclick = () => this.tell({ leave: true })
    root.replaceChildren(this.play, this.track, this.time, this.speeds, this.leave)
  }

  update(data, tell) {
    this.data = data
    this.tell = tell
    this.seen = performance.now()
    this.play.textContent = data.playing ? "❚❚ Pause" : data.position >= data.length ? "▶ Play again" : "▶ Play"
    this.place.max = data.length
    this.marks.replaceChildren(
      ...data.epochs.map((epoch) => {
        const mark = make("span", "mark")
        mark.style.left = `${(100 * epoch.at) / data.length}%`
        mark.title = `epoch ${epoch.number}`
        return mark
      }),
    )
    const known = [...this.speeds.children].map((one) => Number(one.dataset.speed)).join()
    if (known !== data.speeds.join()) {
      this.speeds.replaceChildren(
        ...data.speeds.map((speed) => {
          const button = make("button", "speed", `${speed}×`)
          button.type = "button"
          button.dataset.speed = speed
          button.onclick = () => this.tell({ speed })
          return button
        }),
      )
    }
    for (const button of this.speeds.children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === data.speed))
    }
    this.tick()
  }

  tick() {
    cancelAnimationFrame(this.frame)
    if (!this.place.isConnected) return
    const gone = this.data.playing ? ((performance.now() - this.seen) / 1000) * this.data.speed : 0
    if (!this.held) this.show(Math.min(this.data.length, this.data.position + gone))
    if (this.data.playing) this.frame = requestAnimationFrame(() => this.tick())
  }

  show(position) {
    this.place.value = position
    this.place.style.setProperty("--done", `${(100 * position) / this.data.length}%`)
    const words = `${clock(position)} / ${clock(this.data.length)}`
    if (this.time.textContent !== words) this.time.textContent = words
    this.place.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.data.length)}`)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".player")
  root.player ??= new Player(root)
  root.player.update(data, (told) => setTriggerValue("told", told))
  return () => cancelAnimationFrame(root.player.frame)
}
