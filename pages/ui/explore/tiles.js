// Pictures grouped by lesion. Each is a button with a name: pointer, keyboard and screen reader reach it alike.
//
// Python sends what to show (tiles.py) and gets back which picture was opened. Texts come from datasets: they
// are set as text and never as HTML.

function make(tag, classes, text) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  return element
}

function photo(picture, open) {
  const button = make("button", picture.marked ? "photo marked" : "photo")
  button.type = "button"
  button.dataset.image = picture.id
  button.title = picture.id
  button.onclick = () => open(picture.id)
  if (picture.src) {
    const image = make("img")
    image.src = picture.src
    image.alt = picture.alt
    image.decoding = "async"
    button.append(image)
  } else {
    button.append(make("span", "broken", picture.alt))
  }
  if (picture.note) button.append(make("span", "note", picture.note))
  return button
}

function lesion(one, open) {
  const item = make("li", one.pictures.length > 1 ? "lesion several" : "lesion")
  item.style.setProperty("--photos", one.pictures.length)
  const photos = make("div", "photos")
  photos.append(...one.pictures.map((picture) => photo(picture, open)))
  item.append(photos)
  if (one.title) {
    const about = make("div", "about")
    const title = make("div", "title")
    const dot = make("span", "dot")
    dot.style.setProperty("--colour", one.colour)
    title.append(dot, make("span", "", one.title))
    about.append(title, ...one.lines.map((line) => make("div", "facts", line)))
    about.title = [one.title, ...one.lines].join("\n")
    item.append(about)
  }
  return item
}

// Arrow keys go from picture to picture, as in any grid of files.
function walk(list, event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
  if (!step) return
  const all = [...list.querySelectorAll(".photo")]
  const to = all[all.indexOf(event.target.closest(".photo")) + step]
  if (!to) return
  event.preventDefault()
  to.focus()
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".tiles")
  root.open = (id) => setTriggerValue("opened", id)
  // The same pictures as before keep their elements: the focus stays where it was.
  if (root.shown === data.key) return
  root.shown = data.key
  const list = make("ul", "list")
  list.setAttribute("aria-label", data.label)
  list.append(...data.lesions.map((one) => lesion(one, (id) => root.open(id))))
  const rest = make("li", "rest")
  rest.setAttribute("aria-hidden", "true")
  list.append(rest)
  list.onkeydown = (event) => walk(list, event)
  root.replaceChildren(list)
}
