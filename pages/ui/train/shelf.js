// The list of runs: each row is a button that opens it, with a second one that lays it over the open one.
//
// Names come from folders: they are set as text and never as HTML.

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function build() {
  const item = make("li", "run")
  const open = make("button", "open")
  open.type = "button"
  const top = make("span", "top")
  top.append(make("span", "dot"), make("span", "name"), make("span", "best"))
  const middle = make("span", "middle")
  middle.append(make("span", "state"), make("span", "recipe"))
  const progress = make("span", "progress")
  progress.append(make("span", "done"))
  open.append(top, middle, make("span", "when"), make("span", "tags"), progress)
  const compare = make("button", "compare")
  compare.type = "button"
  item.append(open, compare)
  return item
}

function fill(item, row, pick) {
  const [open, compare] = item.children
  const [top, middle, when, tags, progress] = open.children
  item.style.setProperty("--colour", row.colour)
  item.classList.toggle("picked", row.picked)
  item.classList.toggle("moves", row.moves)
  top.children[1].textContent = row.name
  top.children[2].textContent = row.best
  middle.children[0].textContent = row.state
  middle.children[1].textContent = row.recipe
  when.textContent = row.when
  tags.replaceChildren(...row.tags.map((tag) => make("span", "tag", tag)))
  progress.hidden = row.share === null
  progress.firstChild.style.width = `${100 * (row.share ?? 0)}%`
  open.setAttribute("aria-label", row.words)
  if (row.picked) open.setAttribute("aria-current", "true")
  else open.removeAttribute("aria-current")
  open.onclick = () => pick({ run: row.run, compare: false })
  compare.hidden = row.picked
  compare.textContent = row.compared ? "✓ compared" : "+ compare"
  compare.setAttribute("aria-pressed", String(row.compared))
  compare.setAttribute("aria-label", `Compare with ${row.name}`)
  compare.onclick = () => pick({ run: row.run, compare: true })
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".shelf")
  root.list ??= make("ul", "list")
  root.note ??= make("p", "note")
  root.rows ??= new Map()
  root.list.setAttribute("aria-label", data.label)
  const before = root.rows
  root.rows = new Map(data.rows.map((row) => [row.run, before.get(row.run) ?? build()]))
  const items = [...root.rows.values()]
  // Rows that stay where they are keep their focus; only a change of order moves them.
  if (items.length !== root.list.children.length || items.some((one, at) => root.list.children[at] !== one)) {
    root.list.replaceChildren(...items)
  }
  for (const row of data.rows) fill(root.rows.get(row.run), row, (picked) => setTriggerValue("picked", picked))
  root.note.textContent = data.note
  root.note.hidden = !data.note
  if (!root.list.isConnected) root.replaceChildren(root.list, root.note)
}
