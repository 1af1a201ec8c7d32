// The card of a tour's station: what to look at, and the ways on, back and out.
//
// The card lies below the page, which ends where it begins: whatever the screen's size, it covers nothing.
// The page scrolls to what the card speaks of until it has settled or a person does something. Arrow keys go on
// and back while the card has the focus, Escape leaves.

const SETTLES_MS = 8000
const EVERY_MS = 250
const BELOW_TOP_PX = 150 // room for the menu's bar and for a heading above the widget

function follow(key) {
  const until = performance.now() + SETTLES_MS
  const signs = ["wheel", "pointerdown", "keydown", "touchstart"]
  const stop = () => {
    clearInterval(timer)
    for (const sign of signs) window.removeEventListener(sign, stop, true)
  }
  const timer = setInterval(() => {
    if (performance.now() > until) return stop()
    const there = document.querySelector(`.st-key-${key}`)
    if (there && Math.abs(there.getBoundingClientRect().top - BELOW_TOP_PX) > 12) {
      const main = there.closest("[data-testid=stMain]")
      main?.scrollBy({ top: there.getBoundingClientRect().top - BELOW_TOP_PX, behavior: "instant" })
    }
  }, EVERY_MS)
  for (const sign of signs) window.addEventListener(sign, stop, true)
  return stop
}

export default function ({ data, parentElement }) {
  const card = parentElement.querySelector(".tour")
  const part = (name) => card.querySelector(name)
  part(".number").textContent = data.number
  part(".title").textContent = data.title
  part(".words").textContent = data.words
  part(".next").textContent = "Next →"
  part(".next").setAttribute("aria-label", `Next: ${data.nextTitle}`)
  part(".next").title = data.nextTitle
  for (const way of ["back", "next", "leave"]) {
    part(`.${way}`).hidden = !data[way]
    if (data[way]) part(`.${way}`).href = data[way]
  }
  card.onkeydown = (event) => {
    const way = { ArrowRight: "next", ArrowLeft: "back", Escape: "leave" }[event.key]
    if (!way || !data[way] || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    part(`.${way}`).click()
  }
  const main = document.querySelector("[data-testid=stMain]")
  const makeRoom = () => {
    if (!main) return
    main.style.bottom = "auto"
    main.style.height = `calc(100% - ${card.offsetHeight}px)`
    card.style.left = `${Math.round(main.getBoundingClientRect().left)}px`
  }
  const sizes = new ResizeObserver(makeRoom)
  sizes.observe(card)
  if (main) sizes.observe(main)
  makeRoom()
  if (parentElement.station !== data.number) {
    parentElement.station = data.number
    part("details").open = true
    part(".words").focus({ preventScroll: true })
    parentElement.stop?.()
    parentElement.stop = data.at ? follow(data.at) : undefined
  }
  return () => {
    parentElement.stop?.()
    sizes.disconnect()
    if (main) main.style.bottom = main.style.height = ""
  }
}
