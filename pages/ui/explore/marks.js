// The charts of Explore that are clicked: bars, ages, a body and a cross table. One entry of KINDS a chart.
//
// Every mark is a button with a name, so a keyboard and a screen reader reach what a pointer reaches. Python
// sends the data (figures.py) and gets back what was picked; what a pick means is decided there. Texts come
// from datasets: they are set as text and never as HTML.

const SVG = "http://www.w3.org/2000/svg"

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

// A mark keeps its element from one answer to the next: the focus stays, and lengths move instead of jumping.
function keeper(root) {
  const before = root.kept ?? new Map()
  root.kept = new Map()
  return (name, build) => {
    const element = before.get(name) ?? build()
    root.kept.set(name, element)
    return element
  }
}

function pressable(element, { words, pressed, pick }) {
  element.setAttribute("aria-label", words)
  element.setAttribute("aria-pressed", String(Boolean(pressed)))
  element.title = words
  element.onclick = pick
}

function bars(root, data, pick) {
  const keep = keeper(root)
  const list = keep("list", () => make("div", "bars"))
  const rows = data.rows.map((row) => {
    const button = keep(`row ${row.value}`, () => {
      const one = make("button", "bar")
      one.type = "button"
      one.append(make("span", "name"), make("span", "number"), make("span", "share"), make("span", "track"))
      one.lastChild.append(make("span", "length"), make("span", "ghost"), make("span", "line"))
      return one
    })
    const [name, number, share, track] = button.children
    name.textContent = row.name
    number.textContent = row.number
    share.textContent = row.share
    const [length, ghost, line] = track.children
    length.style.width = `${100 * row.length}%`
    length.style.minWidth = row.length ? "2px" : ""
    length.style.setProperty("--colour", row.colour)
    ghost.hidden = row.ghost === null
    ghost.style.left = `${100 * (row.ghost ?? 0)}%`
    // A dash a row: a line in one piece would run through the numbers.
    line.hidden = !data.line
    line.style.left = `${100 * (data.line?.at ?? 0)}%`
    button.classList.toggle("dim", row.dim)
    button.classList.toggle("picked", row.picked)
    button.classList.toggle("warns", row.warns)
    pressable(button, { words: row.words, pressed: row.picked, pick: () => pick({ value: row.value }) })
    return button
  })
  list.replaceChildren(...rows)
  if (!data.line) return [list]
  const words = keep("line words", () => make("div", "line-words"))
  words.replaceChildren(make("span", "", data.line.words))
  words.style.setProperty("--at", `${100 * data.line.at}%`)
  return [list, words]
}

// A stepped outline of the shares of a row, in a box as wide as there are bins and 1 high.
function outline(shares) {
  let path = "M0,1"
  shares.forEach((share, bin) => {
    path += ` L${bin},${1 - share} L${bin + 1},${1 - share}`
  })
  return `${path} L${shares.length},1 Z`
}

function ages(root, data, pick) {
  const keep = keeper(root)
  const chart = keep("chart", () => make("div", "ages"))
  const rows = data.rows.map((row, index) => {
    const line = keep(`row ${row.value}`, () => {
      const one = make("div", "age-row")
      const name = make("button", "age-name")
      name.type = "button"
      const plot = make("div", "age-plot")
      const svg = draw("svg", { preserveAspectRatio: "none", "aria-hidden": "true" })
      svg.append(draw("path", { class: "area-ghost" }), draw("path", { class: "area" }))
      plot.append(svg, make("span", "mean"), make("span", "band"))
      one.append(name, make("span", "age-note"), plot)
      return one
    })
    const [name, note, plot] = line.children
    const [svg, mean, band] = plot.children
    name.textContent = row.name
    name.disabled = row.value === null
    pressable(name, { words: row.words, pressed: row.picked, pick: () => pick({ value: row.value }) })
    if (row.value === null) name.removeAttribute("aria-pressed")
    note.textContent = row.note
    svg.setAttribute("viewBox", `0 0 ${data.bins.length} 1`)
    svg.children[0].setAttribute("d", outline(row.ghosts))
    svg.children[1].setAttribute("d", outline(row.shares))
    line.style.setProperty("--colour", row.colour)
    line.classList.toggle("all", index === 0)
    line.classList.toggle("dim", row.dim)
    mean.hidden = row.mean === null
    if (row.mean !== null) mean.style.left = `${100 * row.mean}%`
    band.hidden = !data.band
    if (data.band) {
      band.style.left = `${100 * data.band[0]}%`
      band.style.width = `${100 * (data.band[1] - data.band[0])}%`
    }
    return line
  })
  const [, , first] = rows[0].children
  first.append(binButtons(keep, data, pick))
  const axis = keep("axis", () => make("div", "axis"))
  axis.replaceChildren(
    ...data.ticks.map((tick) => {
      const one = make("span", "", tick.words)
      one.style.left = `${100 * tick.at}%`
      return one
    }),
  )
  chart.replaceChildren(...rows, axis)
  return [chart]
}

// The bins of the topmost row are buttons; dragging over several picks all of them.
function binButtons(keep, data, pick) {
  const strip = keep("bins", () => make("div", "bins"))
  let from = null
  const mark = (to) => {
    for (const [index, button] of [...strip.children].entries()) {
      const inside = from !== null && index >= Math.min(from, to) && index <= Math.max(from, to)
      button.classList.toggle("dragged", inside)
    }
  }
  strip.replaceChildren(
    ...data.bins.map((bin, index) => {
      const button = keep(`bin ${bin.low}`, () => Object.assign(make("button", "bin"), { type: "button" }))
      pressable(button, { words: bin.words, pressed: bin.picked, pick: null })
      button.onpointerdown = (event) => {
        from = index
        // A finger is captured by what it touched first; the drag needs to see the others.
        button.releasePointerCapture?.(event.pointerId)
        mark(index)
      }
      button.onpointerenter = () => from !== null && mark(index)
      button.onpointerup = () => {
        if (from === null) return
        const bins = [from, index].sort((one, other) => one - other)
        from = null
        mark(-1)
        pick({ low: data.bins[bins[0]].low, high: data.bins[bins[1]].high })
      }
      button.onkeydown = (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault()
          pick({ low: bin.low, high: bin.high, extend: event.shiftKey })
        }
      }
      return button
    }),
  )
  strip.onpointerleave = () => {
    from = null
    mark(-1)
  }
  return strip
}

function body(root, data, pick) {
  const keep = keeper(root)
  const figure = keep("figure", () => {
    const svg = draw("svg", { viewBox: data.box, class: "body", role: "group" })
    for (const text of data.captions) {
      const words = draw("text", { x: text.x, y: text.y, class: "body-caption", "text-anchor": "middle" })
      words.textContent = text.words
      svg.append(words)
    }
    return svg
  })
  figure.setAttribute("aria-label", data.label)
  for (const site of data.sites) {
    const group = keep(`site ${site.value}`, () => {
      const one = draw("g", { class: "site", role: "button", tabindex: "0" })
      one.append(draw("title", {}))
      for (const path of site.paths) one.append(draw("path", { d: path }))
      figure.append(one)
      return one
    })
    group.firstChild.textContent = site.words
    group.setAttribute("aria-label", site.words)
    group.setAttribute("aria-pressed", String(site.picked))
    group.style.setProperty("--colour", site.colour)
    group.classList.toggle("dim", site.dim)
    group.classList.toggle("picked", site.picked)
    group.onclick = () => pick({ value: site.value })
    group.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return
      event.preventDefault()
      pick({ value: site.value })
    }
  }
  return [figure, scale(keep, data.scale)]
}

// What the colours mean, from none to most.
function scale(keep, { colours, low, high }) {
  const line = keep("scale", () => make("div", "scale"))
  const strip = make("span", "scale-strip")
  strip.style.background = `linear-gradient(to right, ${colours.join(", ")})`
  line.replaceChildren(make("span", "", low), strip, make("span", "", high))
  return line
}

function cross(root, data, pick) {
  const keep = keeper(root)
  const frame = keep("frame", () => make("div", "cross"))
  const table = make("table")
  table.style.minWidth = `${6.4 + (data.columnRem ?? 4.6) * data.columns.length}rem`
  const caption = make("caption", "unseen", data.label)
  const head = make("tr")
  head.append(make("td"))
  for (const column of data.columns) {
    const cell = make("th", column.warns ? "warns" : "")
    cell.scope = "col"
    cell.append(make("span", "", column.name))
    head.append(cell)
  }
  const widths = make("colgroup")
  widths.append(make("col", "row-names"))
  table.append(caption, widths, head)
  for (const row of data.rows) {
    const line = make("tr")
    const name = make("th", row.warns ? "warns" : "", row.name)
    name.scope = "row"
    line.append(name)
    for (const cell of row.cells) {
      const place = make("td")
      const button = keep(`cell ${row.value} ${cell.value}`, () => {
        const one = make("button", "cell")
        one.type = "button"
        return one
      })
      button.textContent = cell.number
      button.style.setProperty("--colour", cell.colour)
      button.style.setProperty("--ink", cell.ink)
      button.classList.toggle("picked", cell.picked)
      button.classList.toggle("empty", cell.empty)
      pressable(button, {
        words: cell.words,
        pressed: cell.picked,
        pick: () => pick({ row: row.value, column: cell.value }),
      })
      place.append(button)
      line.append(place)
    }
    table.append(line)
  }
  frame.replaceChildren(table)
  return data.scale ? [frame, scale(keep, data.scale)] : [frame]
}

const KINDS = { bars, ages, body, cross }

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".marks")
  const focused = parentElement.activeElement
  root.setAttribute("aria-label", data.label)
  root.replaceChildren(...KINDS[data.kind](root, data, (picked) => setTriggerValue("picked", picked)))
  if (focused && focused.isConnected) focused.focus({ preventScroll: true })
}
