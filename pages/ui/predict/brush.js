// A picture on which a person marks a part: drag a box, or click the corners of a polygon.
//
// Python sends the picture (brush.py) and gets back the shape as shares of width and height. With the keyboard,
// arrow keys move the box and Shift with arrows changes its size; Enter uses it.

const clamp = (value) => Math.min(1, Math.max(0, value))
const NAMESPACE = "http://www.w3.org/2000/svg"

function box(first, second) {
  const [left, right] = [first[0], second[0]].sort((a, b) => a - b)
  const [top, bottom] = [first[1], second[1]].sort((a, b) => a - b)
  return [[left, top], [right, top], [right, bottom], [left, bottom]]
}

function state(root) {
  if (!root.brush) root.brush = { points: [], polygon: false, drag: null, key: "" }
  return root.brush
}

function paint(root, brush) {
  const shape = root.querySelector("polygon")
  shape.setAttribute("points", brush.points.map(([x, y]) => `${100 * x},${100 * y}`).join(" "))
  const dots = root.querySelector("g")
  dots.replaceChildren(
    ...brush.points.map(([x, y]) => {
      const dot = document.createElementNS(NAMESPACE, "circle")
      dot.setAttribute("cx", 100 * x)
      dot.setAttribute("cy", 100 * y)
      dot.setAttribute("r", brush.polygon ? 1.2 : 0)
      return dot
    }),
  )
  const usable = brush.points.length > 2
  for (const button of root.querySelectorAll("button[data-use]")) button.disabled = !usable
  root.querySelector("output").textContent = usable
    ? `Marked: ${brush.points.map(([x, y]) => `${Math.round(100 * x)} % right, ${Math.round(100 * y)} % down`).join("; ")}`
    : brush.polygon
      ? "Click three corners or more."
      : "Drag a box over the picture, or use the arrow keys."
}

function place(surface, event) {
  const area = surface.getBoundingClientRect()
  return [clamp((event.clientX - area.left) / area.width), clamp((event.clientY - area.top) / area.height)]
}

function nudge(brush, event) {
  const step = { ArrowRight: [0.05, 0], ArrowLeft: [-0.05, 0], ArrowDown: [0, 0.05], ArrowUp: [0, -0.05] }[event.key]
  if (!step) return false
  event.preventDefault()
  if (brush.polygon || brush.points.length !== 4) {
    brush.polygon = false
    brush.points = box([0.35, 0.35], [0.65, 0.65])
    return true
  }
  const [first, , second] = brush.points
  const moved = ([x, y]) => [clamp(x + step[0]), clamp(y + step[1])]
  brush.points = box(event.shiftKey ? first : moved(first), moved(second))
  return true
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component
  const root = parentElement.querySelector(".brush")
  const brush = state(root)
  if (brush.key !== data.key) Object.assign(brush, { points: [], drag: null, key: data.key })
  const image = root.querySelector("img")
  image.src = data.src
  image.alt = data.alt
  const surface = root.querySelector(".surface")
  surface.style.aspectRatio = data.aspect
  surface.onpointerdown = (event) => {
    event.preventDefault()
    surface.focus()
    if (brush.polygon) {
      if (brush.points.length < data.most) brush.points.push(place(surface, event))
      paint(root, brush)
      return
    }
    brush.drag = place(surface, event)
    surface.setPointerCapture(event.pointerId)
  }
  surface.onpointermove = (event) => {
    if (!brush.drag) return
    brush.points = box(brush.drag, place(surface, event))
    paint(root, brush)
  }
  surface.onpointerup = () => {
    brush.drag = null
  }
  surface.onkeydown = (event) => {
    if (nudge(brush, event)) paint(root, brush)
    if (event.key === "Enter") root.querySelector("button[data-use=hide]").click()
  }
  root.querySelector("[data-do=polygon]").onclick = (event) => {
    brush.polygon = !brush.polygon
    brush.points = []
    event.currentTarget.setAttribute("aria-pressed", String(brush.polygon))
    paint(root, brush)
  }
  root.querySelector("[data-do=clear]").onclick = () => {
    brush.points = []
    paint(root, brush)
  }
  for (const button of root.querySelectorAll("button[data-use]")) {
    button.onclick = () => {
      setTriggerValue("marked", { use: button.dataset.use, points: brush.points })
      brush.points = []
      paint(root, brush)
    }
  }
  paint(root, brush)
}
