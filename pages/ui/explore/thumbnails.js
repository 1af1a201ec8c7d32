// Hands thumbnails over to the map (map.js) of this document: see there why they come apart from it.

export default function ({ data }) {
  document.dispatchEvent(new CustomEvent("lesionlens:thumbnails", { detail: data }))
}
