// Numbers side by side, each with its name; values change in place.

function make(tag, classes) {
  const element = document.createElement(tag)
  element.className = classes
  return element
}

export default function ({ data, parentElement }) {
  const list = parentElement.querySelector(".numbers")
  list.kept ??= new Map()
  const before = list.kept
  list.kept = new Map(
    data.figures.map((figure) => {
      const kept = before.get(figure.name)
      if (kept) return [figure.name, kept]
      const group = make("div", "figure")
      group.append(make("dt", "name"), make("dd", "value"), make("dd", "note"))
      return [figure.name, group]
    }),
  )
  for (const figure of data.figures) {
    const group = list.kept.get(figure.name)
    const [name, value, note] = group.children
    name.textContent = figure.name
    group.title = figure.about
    value.textContent = figure.value
    note.textContent = figure.note
  }
  list.style.setProperty("--share", `${100 * (data.share ?? 0)}%`)
  const groups = [...list.kept.values()]
  if (groups.length !== list.children.length || groups.some((one, at) => list.children[at] !== one)) {
    list.replaceChildren(...groups)
  }
}
