// A map of pictures on a plain canvas: no WebGL, which many hospital computers do not have.
//
// Python sends places and colours (map.py). What a person looks at is asked for as thumbnails, which another
// component, thumbnails.js, hands over as an event of this document: so the places are not sent again for each
// look. Texts come from datasets: they are set as text and never as HTML.

const REACH = 14
const MODES = {
  look: { title: "Look", hint: "Hover or tap to see a picture, click to open it, drag to move." },
  lasso: { title: "Lasso", hint: "Draw around pictures to filter everything by them." },
  box: { title: "Box", hint: "Drag a box over pictures to filter everything by them." },
}
const ASKED_AT_ONCE = 6
const KEPT = 600

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function button(text, label, act) {
  const one = make("button", "", text)
  one.type = "button"
  one.title = label
  one.setAttribute("aria-label", label)
  one.onclick = act
  return one
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer
}

// Whether a point lies inside a closed path, by counting the edges to its right.
function inside(path, x, y) {
  let odd = false
  for (let one = 0, last = path.length - 1; one < path.length; last = one++) {
    const [ax, ay] = path[one]
    const [bx, by] = path[last]
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd
  }
  return odd
}

class PictureMap {
  constructor(root) {
    this.root = root
    this.mode = "look"
    this.zoom = { scale: 1, x: 0.5, y: 0.5 }
    this.pictures = new Map()
    this.at = -1
    this.path = null
    this.grab = null
    this.build()
    this.listen()
  }

  build() {
    const bar = make("div", "bar")
    const modes = make("div", "set")
    modes.setAttribute("role", "group")
    modes.setAttribute("aria-label", "What dragging does")
    this.modeButtons = {}
    for (const [name, mode] of Object.entries(MODES)) {
      const one = button(mode.title, mode.hint, () => this.choose(name))
      this.modeButtons[name] = one
      modes.append(one)
    }
    const zooms = make("div", "set")
    zooms.append(
      button("−", "Zoom out", () => this.rescale(1 / 1.6)),
      button("+", "Zoom in", () => this.rescale(1.6)),
      button("⤢", "Show all", () => this.reset()),
    )
    this.hint = make("span", "hint")
    bar.append(modes, zooms, this.hint)
    this.field = make("div", "field")
    this.field.tabIndex = 0
    this.field.setAttribute("role", "application")
    this.base = make("canvas")
    this.top = make("canvas")
    this.card = make("div", "card")
    this.card.hidden = true
    this.field.append(this.base, this.top, this.card)
    this.legend = make("ul", "legend")
    this.said = make("div", "unseen")
    this.said.setAttribute("aria-live", "polite")
    this.root.replaceChildren(bar, this.legend, this.field, this.said)
    this.choose("look")
  }

  listen() {
    this.sizes = new ResizeObserver(() => this.resize())
    this.sizes.observe(this.field)
    this.receive = (event) => this.received(event.detail)
    document.addEventListener("lesionlens:thumbnails", this.receive)
    this.field.onpointermove = (event) => this.moved(event)
    this.field.onpointerdown = (event) => this.pressed(event)
    this.field.onpointerup = (event) => this.released(event)
    this.field.onpointercancel = () => this.drop()
    this.field.onpointerleave = () => this.grab === null && this.path === null && this.point(-1)
    this.field.onkeydown = (event) => this.typed(event)
    this.field.onblur = () => this.point(-1)
    this.field.addEventListener("wheel", (event) => this.wheeled(event), { passive: false })
  }

  end() {
    this.sizes.disconnect()
    document.removeEventListener("lesionlens:thumbnails", this.receive)
    clearTimeout(this.timer)
  }

  take(data, send) {
    this.send = send
    this.data = data
    const same = this.shown === data.key
    this.ink = getComputedStyle(this.root)
    if (!same) {
      this.places = new Uint16Array(bytes(data.places))
      this.colours = new Uint8Array(bytes(data.colours))
      this.order = Array.from(this.colours.keys())
      this.shown = data.key
      if (this.named !== data.names) this.pictures.clear()
      this.named = data.names
      this.asking = null
      this.point(-1)
    }
    this.field.setAttribute("aria-label", data.label)
    this.field.style.setProperty("--aspect", data.aspect)
    this.legend.replaceChildren(
      ...data.legend.map((entry) => {
        const item = make("li")
        const dot = make("i")
        dot.style.setProperty("--colour", entry.colour)
        item.append(dot, make("b", "", entry.name), make("span", "", entry.note))
        return item
      }),
    )
    this.paint()
  }

  choose(mode) {
    this.mode = mode
    for (const [name, one] of Object.entries(this.modeButtons)) {
      one.setAttribute("aria-pressed", String(name === mode))
    }
    this.hint.textContent = MODES[mode].hint
    this.touch()
  }

  // A finger scrolls the page unless it draws, or moves a map that is zoomed.
  touch() {
    this.field.style.touchAction = this.mode === "look" && this.zoom.scale === 1 ? "pan-y" : "none"
  }

  resize() {
    const ratio = window.devicePixelRatio || 1
    this.width = this.field.clientWidth
    this.height = this.field.clientHeight
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(this.width * ratio)
      canvas.height = Math.round(this.height * ratio)
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0)
    }
    this.paint()
  }

  // Places fill 0 to 1 both ways; the field has their aspect, so that distances are true.
  toScreen(index) {
    const x = this.places[2 * index] / 65535
    const y = this.places[2 * index + 1] / 65535
    const margin = 18
    const { scale } = this.zoom
    return [
      this.width / 2 + (x - this.zoom.x) * scale * (this.width - 2 * margin),
      this.height / 2 - (y - this.zoom.y) * scale * (this.height - 2 * margin),
    ]
  }

  paint() {
    if (!this.data || !this.width) return
    const context = this.base.getContext("2d")
    context.clearRect(0, 0, this.width, this.height)
    const count = this.colours.length
    const active = this.data.active
    const radius = Math.min(6, (count > 30000 ? 1.1 : count > 3000 ? 2 : 3.4) * Math.sqrt(this.zoom.scale))
    this.cells = new Map()
    const faint = this.ink.getPropertyValue("--st-border-color")
    // Those outside the filter come first in the data, then common colours, then rare ones on top.
    for (let index = 0; index < count; index++) {
      const [x, y] = this.toScreen(index)
      if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue
      const on = index >= count - active
      context.globalAlpha = on ? 0.82 : 0.4
      context.fillStyle = on ? this.data.palette[this.colours[index]] : faint
      context.beginPath()
      context.arc(x, y, radius, 0, 6.2832)
      context.fill()
      if (!on) continue
      const cell = `${Math.floor(x / 16)},${Math.floor(y / 16)}`
      const there = this.cells.get(cell)
      if (there) there.push(index)
      else this.cells.set(cell, [index])
    }
    context.globalAlpha = 1
    this.trace()
  }

  trace() {
    const context = this.top.getContext("2d")
    context.clearRect(0, 0, this.width, this.height)
    const ink = this.ink?.getPropertyValue("--st-text-color") ?? "black"
    if (this.path) {
      context.beginPath()
      for (const [x, y] of this.path) context.lineTo(x, y)
      context.closePath()
      context.globalAlpha = 0.12
      context.fillStyle = this.ink.getPropertyValue("--st-primary-color")
      context.fill()
      context.globalAlpha = 1
      context.strokeStyle = this.ink.getPropertyValue("--st-primary-color")
      context.lineWidth = 2
      context.stroke()
    }
    if (this.at < 0) return
    const [x, y] = this.toScreen(this.at)
    context.beginPath()
    context.arc(x, y, 7, 0, 6.2832)
    context.fillStyle = this.data.palette[this.colours[this.at]]
    context.fill()
    context.lineWidth = 2.5
    context.strokeStyle = ink
    context.stroke()
    this.place(x, y)
  }

  place(x, y) {
    const wide = 200
    const high = this.card.offsetHeight || 220
    const left = x + 16 + wide < this.width ? x + 16 : Math.max(4, x - 16 - wide)
    const above = Math.min(Math.max(4, y - high / 2), Math.max(4, this.height - high - 4))
    this.card.style.left = `${left}px`
    this.card.style.top = `${above}px`
  }

  near(x, y, count = 1) {
    const found = []
    const column = Math.floor(x / 16)
    const row = Math.floor(y / 16)
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const index of this.cells?.get(`${column + dx},${row + dy}`) ?? []) {
          const [px, py] = this.toScreen(index)
          found.push([Math.hypot(px - x, py - y), index])
        }
      }
    }
    found.sort((one, other) => one[0] - other[0])
    return found.filter(([distance]) => count > 1 || distance <= REACH).slice(0, count).map(([, index]) => index)
  }

  point(index) {
    const other = index !== this.at
    this.at = index
    this.field.classList.toggle("over", index >= 0)
    if (!this.data || !other) return
    this.card.hidden = index < 0
    if (index >= 0) {
      this.fill()
      this.ask()
    }
    if (this.width) this.trace()
  }

  fill() {
    const known = this.pictures.get(this.at)
    if (!known) {
      this.card.replaceChildren(make("div", "wait", "…"))
      return
    }
    const parts = []
    if (known.src) {
      const image = make("img")
      image.src = known.src
      image.alt = ""
      parts.push(image)
    } else parts.push(make("div", "wait", known.problem))
    parts.push(make("b", "", known.title), ...known.lines.map((line) => make("span", "", line)))
    this.card.replaceChildren(...parts)
    this.said.textContent = [known.title, ...known.lines].join(", ")
  }

  // One question at a time, a moment after the pointer came to rest; its neighbours are asked for along with it.
  ask() {
    clearTimeout(this.timer)
    if (this.at < 0 || this.pictures.has(this.at) || this.asking) return
    this.timer = setTimeout(() => {
      if (this.at < 0 || this.pictures.has(this.at)) return
      const [x, y] = this.toScreen(this.at)
      const around = this.near(x, y, 24).filter((index) => index !== this.at && !this.pictures.has(index))
      this.asking = [this.at, ...around].slice(0, ASKED_AT_ONCE)
      this.send("wanted", { key: this.shown, rows: this.asking })
      this.timer = setTimeout(() => { this.asking = null }, 4000)
    }, 50)
  }

  received(detail) {
    if (!this.data || detail.key !== this.shown) return
    for (const [index, picture] of Object.entries(detail.pictures)) this.pictures.set(Number(index), picture)
    while (this.pictures.size > KEPT) this.pictures.delete(this.pictures.keys().next().value)
    this.asking = null
    if (this.at < 0) return
    if (this.pictures.has(this.at)) {
      this.fill()
      this.trace()
    } else this.ask()
  }

  spot(event) {
    const box = this.field.getBoundingClientRect()
    return [event.clientX - box.left - 1, event.clientY - box.top - 1]
  }

  pressed(event) {
    if (event.button !== 0) return
    const [x, y] = this.spot(event)
    if (this.mode === "look") {
      this.grab = { x, y, from: { ...this.zoom }, moved: false, before: this.at }
    } else {
      this.path = [[x, y]]
      this.corner = [x, y]
      this.point(-1)
    }
    this.field.setPointerCapture(event.pointerId)
  }

  moved(event) {
    const [x, y] = this.spot(event)
    if (this.path) {
      if (this.mode === "lasso") this.path.push([x, y])
      else {
        const [left, upper] = this.corner
        this.path = [[left, upper], [x, upper], [x, y], [left, y]]
      }
      this.trace()
      return
    }
    if (this.grab && (this.grab.moved || Math.hypot(x - this.grab.x, y - this.grab.y) > 5)) {
      if (this.zoom.scale === 1 && event.pointerType === "touch") return
      this.grab.moved = true
      this.field.classList.add("moving")
      this.zoom.x = this.grab.from.x - (x - this.grab.x) / (this.zoom.scale * this.width)
      this.zoom.y = this.grab.from.y + (y - this.grab.y) / (this.zoom.scale * this.height)
      this.point(-1)
      this.paint()
      return
    }
    this.point(this.near(x, y)[0] ?? -1)
  }

  released(event) {
    const [x, y] = this.spot(event)
    if (this.path) {
      const path = this.path
      this.drop()
      this.pick(path)
      return
    }
    const grab = this.grab
    this.drop()
    if (!grab || grab.moved) return
    const index = this.near(x, y)[0] ?? -1
    // A finger cannot hover: its first tap shows the picture, the second one opens it.
    if (index >= 0 && (event.pointerType !== "touch" || index === grab.before)) this.open(index)
    else this.point(index)
  }

  drop() {
    this.path = null
    this.grab = null
    this.field.classList.remove("moving")
    if (this.width) this.trace()
  }

  pick(path) {
    const rows = []
    const count = this.colours.length
    if (path.length > 2) {
      for (let index = count - this.data.active; index < count; index++) {
        const [x, y] = this.toScreen(index)
        if (inside(path, x, y)) rows.push(index)
      }
    }
    this.said.textContent = `${rows.length} pictures inside`
    if (rows.length) this.send("picked", { key: this.shown, rows })
  }

  open(index) {
    this.send("opened", { key: this.shown, rows: [index] })
  }

  wheeled(event) {
    // The wheel alone scrolls the page.
    if (!event.ctrlKey && !event.metaKey) return
    event.preventDefault()
    const [x, y] = this.spot(event)
    this.rescale(event.deltaY < 0 ? 1.25 : 1 / 1.25, x, y)
  }

  rescale(factor, x = this.width / 2, y = this.height / 2) {
    const before = this.zoom.scale
    const scale = Math.min(60, Math.max(1, before * factor))
    const across = (x - this.width / 2) / this.width
    const down = (y - this.height / 2) / this.height
    this.zoom.x += across / before - across / scale
    this.zoom.y -= down / before - down / scale
    this.zoom.scale = scale
    if (scale === 1) Object.assign(this.zoom, { x: 0.5, y: 0.5 })
    this.touch()
    this.paint()
  }

  reset() {
    this.zoom = { scale: 1, x: 0.5, y: 0.5 }
    this.touch()
    this.paint()
  }

  typed(event) {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key]
    if (step) this.walk(step)
    else if (event.key === "Enter" && this.at >= 0) this.open(this.at)
    else if (event.key === "+") this.rescale(1.6)
    else if (event.key === "-") this.rescale(1 / 1.6)
    else if (event.key === "0") this.reset()
    else if (event.key === "Escape" && this.at >= 0) this.point(-1)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  // To the nearest picture in a direction: how far it is aside counts three times.
  walk([dx, dy]) {
    const count = this.colours.length
    const [x, y] = this.at < 0 ? [this.width / 2, this.height / 2] : this.toScreen(this.at)
    let best = -1
    let least = Infinity
    for (let index = count - this.data.active; index < count; index++) {
      if (index === this.at) continue
      const [px, py] = this.toScreen(index)
      if (px < 0 || py < 0 || px > this.width || py > this.height) continue
      const ahead = (px - x) * dx + (py - y) * dy
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx)
      if (this.at >= 0 && ahead < 1) continue
      const far = this.at < 0 ? Math.hypot(px - x, py - y) : ahead + 3 * aside
      if (far < least) {
        least = far
        best = index
      }
    }
    if (best >= 0) this.point(best)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".map")
  root.map ??= new PictureMap(root)
  root.map.take(data, setTriggerValue)
  return () => {
    root.map?.end()
    root.map = null
  }
}
