// The watch images after each epoch: evidence painted over them, the answer below, one scrubber for all.
//
// Scrubbing and playing happen here alone; the server only sends new epochs. Names come from datasets: they are
// set as text and never as HTML.

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

const SVG = "http://www.w3.org/2000/svg"
const FRAME_MS = 450
const KINDS = { truth: "for the truth", answer: "for the answer" }

function signed(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  return new Int8Array(bytes.buffer)
}

function colour(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16))
}

function percent(share) {
  return share > 0.995 && share < 1 ? "> 99 %" : `${Math.round(100 * share)} %`
}

class Tile {
  constructor(lesion) {
    this.item = make("li", "lesion")
    this.frame = make("div", "frame")
    if (lesion.src) {
      const image = make("img")
      image.src = lesion.src
      image.alt = ""
      this.frame.append(image)
    }
    this.canvas = make("canvas")
    this.canvas.setAttribute("role", "img")
    this.verdict = make("span", "verdict")
    this.frame.append(this.canvas, this.verdict)
    this.name = make("div", "name")
    this.name.append(make("span", "dot"), make("span", "", ""))
    this.answer = make("div", "answer")
    this.spark = document.createElementNS(SVG, "svg")
    this.spark.setAttribute("class", "spark")
    this.spark.setAttribute("viewBox", "0 0 100 26")
    this.spark.setAttribute("preserveAspectRatio", "none")
    this.spark.setAttribute("aria-hidden", "true")
    this.item.append(this.frame, this.name, this.answer, this.spark)
  }

  show(film, at, index) {
    const data = film.data
    const lesion = data.lesions[index]
    const chances = data.probabilities[at][index]
    const answer = chances.indexOf(Math.max(...chances))
    const right = answer === lesion.truth
    this.paint(film, at, index)
    this.name.children[0].style.setProperty("--colour", data.colours[lesion.truth])
    this.name.children[1].textContent = data.names[lesion.truth]
    this.item.title = lesion.id
    this.verdict.textContent = right ? "✓" : "✗"
    this.verdict.className = right ? "verdict right" : "verdict wrong"
    this.answer.textContent = right
      ? `found, ${percent(chances[answer])}`
      : `says ${data.names[answer].replace("▲ ", "")}, ${percent(chances[answer])}`
    const words = `${lesion.id}, ${lesion.about}. Epoch ${data.epochs[at]}: ${right ? "answered right" : `answered ${data.names[answer]}`}`
    this.canvas.setAttribute("aria-label", `${words}; the truth gets ${percent(chances[lesion.truth])}.`)
    this.sparkline(film, at, index)
  }

  // Drawn small and stretched by the browser, whose smoothing spreads a cell over the skin that it stands for.
  paint(film, at, index) {
    const [rows, columns] = film.data.size
    const cells = rows * columns
    const start = (at * film.data.lesions.length + index) * cells
    const maps = film.maps[film.kind]
    this.canvas.width = columns
    this.canvas.height = rows
    const context = this.canvas.getContext("2d")
    const pixels = context.createImageData(columns, rows)
    const pictured = Boolean(film.data.lesions[index].src)
    for (let cell = 0; cell < cells; cell += 1) {
      const value = maps[start + cell] / 127
      const [red, green, blue] = film.paint(value)
      const strength = pictured ? Math.min(0.78, 0.95 * Math.abs(value)) : Math.min(1, 0.12 + Math.abs(value))
      pixels.data.set([red, green, blue, Math.round(255 * strength)], 4 * cell)
    }
    context.putImageData(pixels, 0, 0)
  }

  sparkline(film, at, index) {
    const { probabilities, lesions, colours } = film.data
    const truth = lesions[index].truth
    const last = Math.max(1, probabilities.length - 1)
    const points = probabilities.map((one, epoch) => `${(100 * epoch) / last},${25 - 24 * one[index][truth]}`)
    const line = document.createElementNS(SVG, "polyline")
    line.setAttribute("points", points.join(" "))
    line.setAttribute("stroke", colours[truth])
    const cursor = document.createElementNS(SVG, "line")
    const x = (100 * at) / last
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: 26 })) cursor.setAttribute(name, value)
    this.spark.replaceChildren(cursor, line)
  }
}

class Film {
  constructor(root) {
    this.kind = "truth"
    this.bar = make("div", "bar")
    this.play = make("button", "play")
    this.play.type = "button"
    this.play.onclick = () => (this.timer ? this.stop() : this.start())
    this.scrub = make("input", "scrub")
    this.scrub.type = "range"
    this.scrub.min = 0
    this.scrub.step = 1
    this.scrub.setAttribute("aria-label", "Epoch of the watch images")
    this.scrub.oninput = () => {
      const wanted = Number(this.scrub.value)
      this.stop()
      this.show(wanted)
    }
    this.epoch = make("span", "epoch")
    this.kinds = make("div", "kinds")
    this.kinds.setAttribute("role", "group")
    this.kinds.setAttribute("aria-label", "Evidence")
    for (const [kind, words] of Object.entries(KINDS)) {
      const button = make("button", "kind", words)
      button.type = "button"
      button.onclick = () => {
        this.kind = kind
        this.show(this.at)
      }
      button.dataset.kind = kind
      this.kinds.append(button)
    }
    this.bar.append(this.play, this.scrub, this.epoch, this.kinds)
    this.list = make("ul", "list")
    this.list.setAttribute("aria-label", "Watch images")
    this.legend = make("div", "legend")
    root.replaceChildren(this.bar, this.list, this.legend)
    this.root = root
  }

  update(data) {
    if (this.data?.key === data.key) return
    const followed = !this.data || this.at === this.data.epochs.length - 1
    const before = this.data?.lesions.map((lesion) => `${lesion.id} ${lesion.src.length}`).join()
    this.data = data
    this.maps = { truth: signed(data.maps.truth), answer: signed(data.maps.answer) }
    this.colours = data.scale.map(colour)
    if (before !== data.lesions.map((lesion) => `${lesion.id} ${lesion.src.length}`).join()) {
      this.tiles = data.lesions.map((lesion) => new Tile(lesion))
      this.list.replaceChildren(...this.tiles.map((tile) => tile.item))
    }
    this.scrub.max = data.epochs.length - 1
    const swatch = make("span", "ramp")
    swatch.style.background = `linear-gradient(to right, ${data.scale.join(", ")})`
    const limit = data.limit.toFixed(1)
    this.legend.replaceChildren(make("span", "", `against −${limit}`), swatch, make("span", "", `+${limit} for, in logits. The line below each: the probability of the truth, epoch by epoch.`))
    // Who looks at the newest epoch goes along with it; who looks back is left there.
    this.show(followed ? data.epochs.length - 1 : Math.min(this.at, data.epochs.length - 1))
  }

  paint(value) {
    const place = ((value + 1) / 2) * (this.colours.length - 1)
    const low = Math.floor(place)
    const high = Math.min(low + 1, this.colours.length - 1)
    return this.colours[low].map((part, at) => Math.round(part + (this.colours[high][at] - part) * (place - low)))
  }

  show(at) {
    this.at = at
    this.scrub.value = at
    const words = `epoch ${this.data.epochs[at]} of ${this.data.epochs.at(-1)}`
    this.epoch.textContent = words
    this.scrub.setAttribute("aria-valuetext", words)
    this.play.textContent = this.timer ? "❚❚ Pause" : "▶ Play"
    for (const button of this.kinds.children) button.setAttribute("aria-pressed", String(button.dataset.kind === this.kind))
    this.tiles.forEach((tile, index) => tile.show(this, at, index))
  }

  start() {
    if (this.data.epochs.length < 2) return
    const from = this.at === this.data.epochs.length - 1 ? 0 : this.at
    this.timer = setInterval(() => {
      if (!this.root.isConnected || this.at >= this.data.epochs.length - 1) this.stop()
      else this.show(this.at + 1)
    }, FRAME_MS)
    this.show(from)
  }

  stop() {
    clearInterval(this.timer)
    this.timer = undefined
    if (this.root.isConnected) this.show(this.at)
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".film")
  root.film ??= new Film(root)
  root.film.update(data)
}
