// A picture on which a person marks a part: drag a box or an oval, or set the corners of a polygon.
//
// Python sends the picture, the shape of a drag and what a shape is for (brush.py), and gets back the use and the
// corners as shares of width and height. With the keyboard, arrow keys move the box and Shift with arrows changes
// its size; of a polygon they move a cross, the space bar sets a corner and Backspace takes the last one away.
// Enter uses what is marked.

const clamp = (value) => Math.min(1, Math.max(0, value))
const percent = (share) => `${Math.round(100 * share)} %`
const NAMESPACE = "http://www.w3.org/2000/svg"
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }
const BOX_STEP = 0.05
const CROSS_STEP = 0.02
const PAUSE_MS = 1000

function corners(brush, data) {
  if (!brush.box) return brush.points
  const [[left, top], [right, bottom]] = brush.box
  if (!data.oval) return [[left, top], [right, top], [right, bottom], [left, bottom]]
  return Array.from({ length: data.most }, (_, index) => {
    const turn = (2 * Math.PI * index) / data.most
    return [
      (left + right + (right - left) * Math.cos(turn)) / 2,
      (top + bottom + (bottom - top) * Math.sin(turn)) / 2,
    ]
  })
}

function span(first, second) {
  const [left, right] = [first[0], second[0]].sort((a, b) => a - b)
  const [top, bottom] = [first[1], second[1]].sort((a, b) => a - b)
  return [[left, top], [right, bottom]]
}

function state(root, data) {
  if (!root.brush) root.brush = { points: [], box: null, polygon: data.polygon, cross: null, drag: null, key: "" }
  return root.brush
}

function dot(place, radius) {
  const drawn = document.createElementNS(NAMESPACE, "circle")
  drawn.setAttribute("cx", 100 * place[0])
  drawn.setAttribute("cy", 100 * place[1])
  drawn.setAttribute("r", radius)
  return drawn
}

function say(brush, data) {
  const spelled = ([x, y]) => `${percent(x)} right, ${percent(y)} down`
  const cross = brush.cross ? ` The cross is at ${spelled(brush.cross)}.` : ""
  if (brush.box && data.oval) {
    const [[left, top], [right, bottom]] = brush.box
    return `Marked: an oval, ${percent(left)} to ${percent(right)} right, ${percent(top)} to ${percent(bottom)} down`
  }
  const marked = corners(brush, data)
  if (marked.length > 2) return `Marked: ${marked.map(spelled).join("; ")}.${cross}`
  if (!brush.polygon) return `Drag ${data.oval ? "an oval" : "a box"} over the picture, or use the arrow keys.`
  const missing = marked.length ? `${marked.length} of at least three corners set.` : "Click three corners or more, one after the other; or move a cross with the arrow keys and set a corner with the space bar."
  return missing + cross
}

function paint(root, brush, data) {
  const marked = corners(brush, data)
  root.querySelector("polygon").setAttribute("points", marked.map(([x, y]) => `${100 * x},${100 * y}`).join(" "))
  root.querySelector(".corners").replaceChildren(...(brush.polygon ? marked.map((place) => dot(place, 1.2)) : []))
  root.querySelector(".cross").replaceChildren(...(brush.polygon && brush.cross ? [dot(brush.cross, 2.4)] : []))
  for (const button of root.querySelectorAll("button[data-use]")) button.disabled = marked.length < 3
  root.querySelector("[data-do=back]").disabled = !brush.points.length
  root.querySelector("[data-do=clear]").disabled = !marked.length
  root.querySelector("[data-do=polygon]").setAttribute("aria-pressed", String(brush.polygon))
  root.querySelector("output").textContent = say(brush, data)
}

function place(surface, event) {
  const area = surface.getBoundingClientRect()
  return [clamp((event.clientX - area.left) / area.width), clamp((event.clientY - area.top) / area.height)]
}

function addCorner(brush, data, corner) {
  if (brush.points.length < data.most) brush.points.push(corner)
}

function moved([x, y], [right, down], step) {
  return [clamp(x + step * right), clamp(y + step * down)]
}

// Each returns whether the key was one of theirs.
function keysOfBox(brush, event) {
  const way = ARROWS[event.key]
  if (!way) return false
  if (!brush.box) brush.box = span([0.35, 0.35], [0.65, 0.65])
  else {
    const [first, second] = brush.box
    brush.box = span(event.shiftKey ? first : moved(first, way, BOX_STEP), moved(second, way, BOX_STEP))
  }
  return true
}

function keysOfPolygon(brush, event, data) {
  const way = ARROWS[event.key]
  if (way) brush.cross = moved(brush.cross ?? [0.5, 0.5], way, event.shiftKey ? BOX_STEP : CROSS_STEP)
  else if (event.key === " ") addCorner(brush, data, (brush.cross ??= [0.5, 0.5]))
  else if (event.key === "Backspace") brush.points.pop()
  else return false
  return true
}

function forget(brush) {
  Object.assign(brush, { points: [], box: null, drag: null })
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component
  const root = parentElement.querySelector(".brush")
  const brush = state(root, data)
  if (brush.key !== data.key) {
    forget(brush)
    brush.key = data.key
    brush.used = undefined
  }
  const image = root.querySelector("img")
  image.src = data.src
  image.alt = data.alt
  const surface = root.querySelector(".surface")
  surface.style.aspectRatio = data.aspect
  surface.setAttribute("aria-label", data.label)
  const uses = root.querySelector(".uses")
  if (uses.childElementCount !== data.uses.length) {
    uses.replaceChildren(
      ...data.uses.map(() => Object.assign(document.createElement("button"), { type: "button" })),
    )
  }
  const use = (name) => {
    // What is marked stays until it is taken, which changes the key: one that is refused can be mended. A second
    // press at once would take it twice.
    if (performance.now() - (brush.used ?? -PAUSE_MS) < PAUSE_MS) return
    brush.used = performance.now()
    setTriggerValue("marked", { use: name, points: corners(brush, data) })
  }
  data.uses.forEach(([name, words], index) => {
    const button = uses.children[index]
    button.dataset.use = name
    button.textContent = words
    button.onclick = () => use(name)
  })
  surface.onpointerdown = (event) => {
    event.preventDefault()
    surface.focus()
    brush.cross = null
    if (brush.polygon) {
      addCorner(brush, data, place(surface, event))
      paint(root, brush, data)
      return
    }
    brush.drag = place(surface, event)
    surface.setPointerCapture(event.pointerId)
  }
  surface.onpointermove = (event) => {
    if (!brush.drag) return
    brush.box = span(brush.drag, place(surface, event))
    paint(root, brush, data)
  }
  surface.onpointerup = () => {
    brush.drag = null
  }
  surface.onkeydown = (event) => {
    if (event.key === "Enter") uses.querySelector("button:enabled")?.click()
    else if (brush.polygon ? keysOfPolygon(brush, event, data) : keysOfBox(brush, event)) paint(root, brush, data)
    else return
    event.preventDefault()
  }
  root.querySelector("[data-do=polygon]").onclick = () => {
    brush.polygon = !brush.polygon
    brush.cross = null
    forget(brush)
    paint(root, brush, data)
  }
  root.querySelector("[data-do=back]").onclick = () => {
    brush.points.pop()
    paint(root, brush, data)
  }
  root.querySelector("[data-do=clear]").onclick = () => {
    forget(brush)
    paint(root, brush, data)
  }
  paint(root, brush, data)
}
