// The curves of training runs: several charts above one horizontal axis, drawn as SVG that stays in place.
//
// Python (curves.py) sends points that were thinned for the part that is looked at; a zoom is told back, and
// the answer holds that part exactly. Pointer: drag to zoom, double click to see all. Keyboard: arrows move the
// cursor, plus and minus zoom, Escape shows all. Names come from folders: they are set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg"
const PAD = { left: 46, right: 10, top: 8, bottom: 22 }
const HEIGHT = 210
const DOTS = 80

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  if (text !== undefined) element.textContent = text
  return element
}

// Base64 of float32, little-endian, as numpy writes it.
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  return new Float32Array(bytes.buffer)
}

function decoded(data) {
  for (const chart of data.charts) {
    for (const line of chart.lines) {
      line.xs = floats(line.x)
      line.ys = floats(line.y)
    }
  }
  return data
}

// Round steps of 1, 2 or 5 times a power of ten, or of 1, 5, 15, 30 of a clock.
function ticks(low, high, wanted, clock) {
  const rough = (high - low) / wanted
  if (!(rough > 0)) return [low]
  let step
  if (clock) {
    const steps = [1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400]
    step = steps.find((one) => one >= rough) ?? 86400 * Math.ceil(rough / 86400)
  } else {
    const power = 10 ** Math.floor(Math.log10(rough))
    step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough)
  }
  const found = []
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(at)
  return found
}

function logTicks(low, high) {
  const found = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const one of high / low > 100 ? [1] : [1, 2, 5]) found.push(one * 10 ** power)
  }
  const inside = found.filter((one) => one >= low * 0.999 && one <= high * 1.001)
  return inside.length > 1 ? inside : [low, high]
}

function number(value) {
  if (!Number.isFinite(value)) return "n/a"
  const size = Math.abs(value)
  if (size && (size < 0.001 || size >= 1e6)) return value.toExponential(1).replace("e+", "e").replace("-", "−")
  if (size >= 100) return Math.round(value).toLocaleString("en")
  return String(Number(value.toFixed(size < 0.1 ? 4 : 3)))
}

function span(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 3600) return `${Number((seconds / 60).toFixed(1))} min`
  return `${Number((seconds / 3600).toFixed(2))} h`
}

function place(value, axis) {
  if (axis === "time") return span(value)
  return axis === "epoch" ? String(Number(value.toFixed(2))) : Math.round(value).toLocaleString("en")
}

// The position of the point nearest to x; points are in ascending order.
function nearest(xs, x) {
  if (!xs.length) return -1
  let low = 0
  let high = xs.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (xs[middle] < x) low = middle + 1
    else high = middle
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low
}

function domainY(chart, domain) {
  let low = Infinity
  let high = -Infinity
  const see = (value) => {
    if (!Number.isFinite(value) || (chart.log && value <= 0)) return
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  for (const line of chart.lines) {
    line.ys.forEach((value, at) => {
      if (!line.faint && line.xs[at] >= domain[0] && line.xs[at] <= domain[1]) see(value)
    })
  }
  for (const mark of chart.marks) see(mark.y)
  if (chart.low !== null) low = chart.low
  if (chart.high !== null) high = chart.high
  if (low > high) return chart.log ? [0.1, 1] : [0, 1]
  if (chart.log) return [low / 1.15, high * 1.15]
  const room = (high - low || Math.abs(high) || 1) * 0.06
  return [chart.low ?? low - room, chart.high ?? high + room]
}

class Chart {
  constructor(root) {
    this.root = root
    this.frame = make("section", "chart")
    this.head = make("div", "head")
    this.title = make("h3", "title")
    this.legend = make("div", "legend")
    this.head.append(this.title, this.legend)
    this.plot = make("div", "plot")
    this.plot.tabIndex = 0
    this.plot.setAttribute("role", "group")
    this.svg = draw("svg", { "aria-hidden": "true" })
    this.under = draw("g", {})
    this.lines = draw("g", {})
    this.over = draw("g", {})
    this.svg.append(this.under, this.lines, this.over)
    this.tip = make("div", "tip")
    this.tip.hidden = true
    this.empty = make("div", "empty", "Not measured so far.")
    this.said = make("div", "unseen")
    this.said.setAttribute("aria-live", "polite")
    this.plot.append(this.svg, this.tip, this.empty)
    this.frame.append(this.head, this.plot, this.said)
    this.listen()
  }

  listen() {
    const plot = this.plot
    plot.onpointermove = (event) => {
      const x = this.toX(event.offsetX)
      if (this.from !== undefined) this.to = x
      this.root.point(x, this)
    }
    plot.onpointerleave = () => this.root.point(null, null)
    plot.onpointerdown = (event) => {
      // A finger scrolls the page; zooming by finger would take that away.
      if (event.button !== 0 || event.pointerType === "touch") return
      this.from = this.to = this.toX(event.offsetX)
      plot.setPointerCapture(event.pointerId)
    }
    plot.onpointerup = (event) => {
      const [from, to] = [this.from, this.to]
      this.from = this.to = undefined
      if (from === undefined) return
      const wide = Math.abs(this.place(to) - this.place(from)) > 6
      if (wide) this.root.zoom([Math.min(from, to), Math.max(from, to)])
      else this.root.point(this.toX(event.offsetX), this)
    }
    plot.ondblclick = () => this.root.zoom(null)
    plot.onkeydown = (event) => this.press(event)
    plot.onblur = () => this.root.point(null, null)
  }

  press(event) {
    const [low, high] = this.domain
    const at = this.root.cursor ?? high
    const width = high - low
    const step = width / 40
    const act = {
      ArrowLeft: () => this.root.point(Math.max(low, at - step), this, true),
      ArrowRight: () => this.root.point(Math.min(high, at + step), this, true),
      Home: () => this.root.point(low, this, true),
      End: () => this.root.point(high, this, true),
      "+": () => this.root.zoom([Math.max(low, at - width / 4), Math.min(high, at + width / 4)]),
      "-": () => this.root.zoom(this.root.wider(at, width)),
      Escape: () => this.root.zoom(null),
    }[event.key]
    if (!act) return
    event.preventDefault()
    act()
  }

  place(x) {
    const [low, high] = this.domain
    return PAD.left + ((x - low) / (high - low || 1)) * (this.width - PAD.left - PAD.right)
  }

  toX(pixel) {
    const [low, high] = this.domain
    const share = (pixel - PAD.left) / (this.width - PAD.left - PAD.right)
    return low + Math.min(1, Math.max(0, share)) * (high - low)
  }

  height(y) {
    const [low, high] = this.range
    const share = this.chart.log ? Math.log(y / low) / Math.log(high / low) : (y - low) / (high - low || 1)
    return HEIGHT - PAD.bottom - share * (HEIGHT - PAD.top - PAD.bottom)
  }

  show(chart, domain, axis) {
    this.chart = chart
    this.domain = domain
    this.axis = axis
    this.range = domainY(chart, domain)
    this.width = Math.max(160, this.plot.clientWidth)
    this.title.textContent = chart.title
    this.title.title = chart.about
    this.plot.setAttribute("aria-label", chart.words)
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`)
    this.svg.setAttribute("height", HEIGHT)
    this.empty.hidden = chart.lines.some((line) => line.xs.length)
    this.showLegend()
    this.showAxes()
    this.showLines()
    this.showCursor()
  }

  showLegend() {
    const named = this.chart.lines.filter((line) => line.legend)
    this.legend.replaceChildren(
      ...named.map((line) => {
        const item = make("span", "key")
        const swatch = make("span", line.dash ? "swatch dashed" : "swatch")
        swatch.style.setProperty("--colour", line.colour)
        item.append(swatch, make("span", "", line.name))
        return item
      }),
    )
  }

  showAxes() {
    const right = this.width - PAD.right
    const bottom = HEIGHT - PAD.bottom
    const parts = []
    const [low, high] = this.range
    for (const y of this.chart.log ? logTicks(low, high) : ticks(low, high, 4)) {
      const at = this.height(y)
      if (at < PAD.top - 1 || at > bottom + 1) continue
      parts.push(draw("line", { class: "grid", x1: PAD.left, x2: right, y1: at, y2: at }))
      parts.push(draw("text", { class: "tick", x: PAD.left - 6, y: at + 4, "text-anchor": "end" }, number(y)))
    }
    const wanted = Math.max(2, Math.floor(this.width / 95))
    for (const x of ticks(this.domain[0], this.domain[1], wanted, this.axis === "time")) {
      const at = this.place(x)
      if (at > right + 1) continue
      const words = place(x, this.axis)
      const anchor = at > right - 14 ? "end" : "middle"
      parts.push(draw("text", { class: "tick", x: at, y: HEIGHT - 6, "text-anchor": anchor }, words))
    }
    parts.push(draw("line", { class: "axis", x1: PAD.left, x2: right, y1: bottom, y2: bottom }))
    for (const mark of this.chart.marks) {
      const at = this.height(mark.y)
      parts.push(draw("line", { class: "mark", x1: PAD.left, x2: right, y1: at, y2: at }))
      const below = at < PAD.top + 16
      const words = { class: "mark-words", x: right - 2, y: below ? at + 14 : at - 5, "text-anchor": "end" }
      parts.push(draw("text", words, mark.words))
    }
    this.under.replaceChildren(...parts)
  }

  showLines() {
    const parts = []
    const clip = `clip-${this.chart.id}`
    const box = { x: PAD.left - 4, y: 0, width: this.width - PAD.left - PAD.right + 8, height: HEIGHT - PAD.bottom + 4 }
    const clipping = draw("clipPath", { id: clip })
    clipping.append(draw("rect", box))
    parts.push(clipping)
    const inside = draw("g", { "clip-path": `url(#${clip})` })
    for (const line of this.chart.lines) {
      const drawn = draw("path", { class: line.faint ? "line faint" : "line", d: this.path(line), stroke: line.colour })
      if (line.dash) drawn.setAttribute("stroke-dasharray", "5 4")
      inside.append(drawn)
      if (line.dots && line.xs.length <= DOTS) inside.append(...this.dots(line))
      if (line.best) inside.append(...this.best(line))
    }
    parts.push(inside)
    this.lines.replaceChildren(...parts)
  }

  path(line) {
    let path = ""
    let pen = "M"
    line.ys.forEach((y, at) => {
      if (!Number.isFinite(y) || (this.chart.log && y <= 0)) {
        pen = "M"
        return
      }
      path += `${pen}${this.place(line.xs[at]).toFixed(1)},${this.height(y).toFixed(1)}`
      pen = "L"
    })
    return path
  }

  dots(line) {
    const found = []
    line.ys.forEach((y, at) => {
      if (!Number.isFinite(y)) return
      found.push(draw("circle", { cx: this.place(line.xs[at]), cy: this.height(y), r: 2.4, fill: line.colour }))
    })
    return found
  }

  best(line) {
    const x = this.place(line.best.x)
    const y = this.height(line.best.y)
    const left = x > this.width * 0.6
    return [
      draw("circle", { class: "best", cx: x, cy: y, r: 5.5, stroke: line.colour }),
      draw(
        "text",
        { class: "best-words", x: left ? x - 9 : x + 9, y: Math.max(12, y - 8), "text-anchor": left ? "end" : "start" },
        line.best.words,
      ),
    ]
  }

  showCursor() {
    const cursor = this.root.cursor
    const parts = []
    if (this.from !== undefined && this.to !== undefined) {
      const [low, high] = [this.place(Math.min(this.from, this.to)), this.place(Math.max(this.from, this.to))]
      parts.push(draw("rect", { class: "chosen", x: low, y: PAD.top, width: high - low, height: HEIGHT - PAD.top - PAD.bottom }))
    }
    const seen = cursor !== null && cursor >= this.domain[0] && cursor <= this.domain[1]
    const rows = []
    if (seen) {
      const at = this.place(cursor)
      parts.push(draw("line", { class: "cursor", x1: at, x2: at, y1: PAD.top, y2: HEIGHT - PAD.bottom }))
      for (const line of this.chart.lines) {
        if (line.faint) continue
        const point = nearest(line.xs, cursor)
        if (point < 0 || !Number.isFinite(line.ys[point]) || (this.chart.log && line.ys[point] <= 0)) continue
        parts.push(
          draw("circle", { class: "dot", cx: this.place(line.xs[point]), cy: this.height(line.ys[point]), r: 3.6, fill: line.colour }),
        )
        rows.push({ name: line.name, colour: line.colour, value: number(line.ys[point]) })
      }
    }
    this.over.replaceChildren(...parts)
    this.showTip(seen && this.root.pointed === this ? rows : [], cursor)
  }

  showTip(rows, cursor) {
    this.tip.hidden = rows.length === 0
    if (!rows.length) return
    const title = make("div", "tip-title", `${this.axis} ${place(cursor, this.axis)}`)
    this.tip.replaceChildren(
      title,
      ...rows.slice(0, 14).map((row) => {
        const item = make("div", "tip-row")
        const swatch = make("span", "swatch")
        swatch.style.setProperty("--colour", row.colour)
        item.append(swatch, make("span", "tip-name", row.name), make("span", "tip-value", row.value))
        return item
      }),
    )
    const at = this.place(cursor)
    const right = at < this.width / 2
    this.tip.style.left = right ? `${at + 12}px` : "auto"
    this.tip.style.right = right ? "auto" : `${this.width - at + 12}px`
    if (this.root.spoken) {
      const words = rows.map((row) => `${row.name} ${row.value}`).join(", ")
      this.said.textContent = `${this.axis} ${place(cursor, this.axis)}: ${words}`
    }
  }
}

class Curves {
  constructor(root) {
    this.root = root
    this.charts = new Map()
    this.cursor = null
    this.pointed = null
    this.zoomed = null
    this.runs = make("div", "runs")
    this.bar = make("div", "bar")
    this.back = make("button", "back", "Show all")
    this.back.type = "button"
    this.back.onclick = () => this.zoom(null)
    this.hint = make("span", "hint")
    this.bar.append(this.runs, this.hint, this.back)
    this.grid = make("div", "grid-of-charts")
    root.replaceChildren(this.bar, this.grid)
    new ResizeObserver(() => this.show()).observe(root)
  }

  update(data, tell) {
    this.tell = tell
    this.data = decoded(data)
    if (data.axis !== this.axis) this.zoomed = data.range ?? null
    this.axis = data.axis
    this.show()
  }

  domain() {
    return this.zoomed ?? this.data.domain
  }

  show() {
    if (!this.data) return
    const before = this.charts
    this.charts = new Map(this.data.charts.map((chart) => [chart.id, before.get(chart.id) ?? new Chart(this)]))
    const frames = [...this.charts.values()].map((chart) => chart.frame)
    const same = frames.length === this.grid.children.length && frames.every((one, at) => this.grid.children[at] === one)
    if (!same) this.grid.replaceChildren(...frames)
    for (const chart of this.data.charts) this.charts.get(chart.id).show(chart, this.domain(), this.axis)
    this.back.hidden = this.zoomed === null
    this.hint.textContent = this.zoomed
      ? `${this.axis} ${place(this.zoomed[0], this.axis)} to ${place(this.zoomed[1], this.axis)}, exact`
      : "Drag in a chart to zoom in."
    this.showRuns()
  }

  showRuns() {
    this.runs.hidden = this.data.runs.length < 2
    this.runs.replaceChildren(
      ...this.data.runs.map((run) => {
        const item = make("span", "key")
        const swatch = make("span", "swatch")
        swatch.style.setProperty("--colour", run.colour)
        item.append(swatch, make("span", "", run.name))
        return item
      }),
    )
  }

  point(x, chart, spoken = false) {
    this.cursor = x
    this.pointed = chart
    this.spoken = spoken
    for (const one of this.charts.values()) one.showCursor()
  }

  wider(at, width) {
    const [low, high] = this.data.domain
    if (2 * width >= high - low) return null
    return [Math.max(low, at - width), Math.min(high, at + width)]
  }

  zoom(range) {
    this.zoomed = range
    this.show()
    this.tell(range)
  }
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".curves")
  root.curves ??= new Curves(root)
  root.curves.update(data, (range) => setStateValue("range", range))
}
