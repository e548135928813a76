"use strict";
const COLORS = ["#ffb31a", "#3ad6f5", "#ff7ad1", "#b4f03c", "#ffffff", "#c4a2ff"]; // of the ratios, by their order
const BATCH = 8; // photos that come and go together as the reader scrolls
const $ = id => document.getElementById(id);
const collator = new Intl.Collator("en", { numeric: true });
const percent = share => share == null ? "–" : `${(100 * share).toFixed(1)} %`;

/** What does not print, or turns the direction of writing, as an escape; a byte that is no UTF-8 as \xff. */
function printable(text) {
  return text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, letter => {
    const code = letter.codePointAt(0), byte = code >= 0xdc80 && code < 0xdd00 ? code - 0xdc00 : code;
    return byte < 256 ? `\\x${byte.toString(16).padStart(2, "0")}` : `\\u${byte.toString(16)}`;
  });
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const photos = JSON.parse($("records").textContent).map((record, index) => {
  const name = printable(record.input), reason = printable(record.error ?? "");
  return { ...record, index, name, reason, search: `${name} ${reason}`.toLowerCase() };
});
const [failed, cropped] = [photos.filter(photo => "error" in photo), photos.filter(photo => !("error" in photo))];
const ratios = [...new Set(cropped.flatMap(photo => photo.crops.map(crop => crop.ratio)))];
const label = ({ ratio, rank }) => rank > 1 ? `${ratio}, choice ${rank}` : ratio;
const isShown = crop => !$("ratio").value || crop.ratio === $("ratio").value;

function drawPhoto(photo) {
  const { name, href, width, height, crops, index } = photo;
  const size = make("span", { className: "soft" }, ` ${width} × ${height}`);
  const images = [make("img", { alt: `${name}, whole` }), make("img", { className: "heat", alt: "" })];
  const whole = make("div", { className: "whole" }, ...images);
  whole.style.setProperty("--shape", width / height);
  const list = make("ul", { className: "crops" });
  const thumbnails = crops.map(crop => make("img", { alt: `${label(crop)} crop of ${name}` }));
  const centers = crops.map(crop => make("img", { alt: `${label(crop)} center crop of ${name}` }));
  crops.forEach((crop, k) => {
    if (!isShown(crop)) return;
    const box = drawBox(crop.box, width, height), center = drawCenter(crop, photo, centers[k]);
    const item = drawCrop(crop, thumbnails[k], center);
    const color = COLORS[ratios.indexOf(crop.ratio) % COLORS.length];
    for (const node of [box, item]) node.style.setProperty("--ratio", color);
    for (const event of ["pointerenter", "focusin"]) item.addEventListener(event, () => box.classList.add("on"));
    for (const event of ["pointerleave", "focusout"]) item.addEventListener(event, () => box.classList.remove("on"));
    whole.append(box);
    list.append(item);
  });
  load(index, images, thumbnails, centers);
  const title = make("h2", {}, make("a", { href }, name), size);
  const place = { ariaPosInSet: photo.place, ariaSetSize: photo.of };
  return make("li", { className: "photo", ...place }, title, make("div", { className: "row" }, whole, list));
}

/** Gives the pictures of a photo their content, which may still be on its way while the page loads. */
function load(index, [whole, heat], thumbnails, centers) {
  const data = $(`p${index}`);
  if (document.readyState === "loading" && !data?.nextSibling) { // not there, or not whole
    requestAnimationFrame(() => load(index, [whole, heat], thumbnails, centers));
    return;
  }
  if (!data) return;
  const preview = JSON.parse(data.textContent)[1];
  if (!preview) return;
  for (const image of [whole, ...centers]) image.src = `data:image/jpeg;base64,${preview.photo}`;
  heat.src = `data:image/png;base64,${preview.density}`;
  thumbnails.forEach((image, k) => { image.src = `data:image/jpeg;base64,${preview.thumbnails[k]}`; });
}

function drawBox(box, width, height) {
  const node = make("div", { className: "box" });
  const whole = { left: width, top: height, width, height };
  for (const side in whole) node.style[side] = `${100 * box[side] / whole[side]}%`;
  return node;
}

/** The window in the middle of the photo, rounded as `gaze.framing` does: the photo's small picture, mostly hidden. */
function drawCenter({ box, centered }, { width, height }, image) {
  if (centered) return make("figure", {}, make("figcaption", {}, "this is the center crop"));
  const left = Math.floor((width - box.width) / 2), top = Math.floor((height - box.height) / 2);
  const whole = { left: -left, top: -top, width, height };
  const frame = make("div", { className: "center" }, image);
  const parts = { left: box.width, top: box.height, width: box.width, height: box.height };
  for (const side in whole) image.style[side] = `${100 * whole[side] / parts[side]}%`;
  frame.style.setProperty("--shape", box.width / box.height);
  return make("figure", {}, frame, make("figcaption", {}, "center"));
}

function drawCrop(crop, image, beside) {
  const { score, center_score: center, confidence, centered, output } = crop;
  const kept = make("span", { className: centered ? "soft" : "moved" }, centered ? "centred" : "moved");
  const title = `${percent(score)} of the predicted gaze, ${percent(center)} where the crop is centred`;
  const bar = make("div", { className: "bar", title });
  bar.style.setProperty("--score", `${100 * score}%`);
  bar.style.setProperty("--center", `${100 * center}%`);
  const facts = {
    score: percent(score), "center score": percent(center), confidence: confidence?.toFixed(3) ?? "–",
    cut: percent(crop.cut), "center cut": percent(crop.center_cut),
  };
  if (crop.cut_heads != null) {
    facts["heads cut"] = percent(crop.cut_heads);
    facts["center heads cut"] = percent(crop.center_cut_heads);
  }
  const lines = Object.entries(facts).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]);
  const path = make("a", { className: "path", href: output.href }, printable(output.path));
  const pair = make("div", { className: "pair" }, image, beside);
  return make("li", {}, pair, make("h3", {}, make("i"), label(crop), kept), bar, make("dl", {}, ...lines), path);
}

/** What to sort by, smallest first: of a photo with several crops the one that comes first counts. */
function sorted(shown) {
  const [key, down] = $("sort").value.split(" "), sign = down ? -1 : 1;
  if (key === "name") return shown.sort((a, b) => sign * collator.compare(a.name, b.name));
  const value = crop => crop[key] == null ? Infinity : sign * crop[key];
  for (const photo of shown) photo.value = Math.min(...photo.crops.filter(isShown).map(value));
  return shown.sort((a, b) => a.value - b.value || collator.compare(a.name, b.name));
}

/** A batch of photos is empty, of about the right height, while it is far from what the reader sees. */
const near = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.firstChild) {
      target.append(...target.photos.map(drawPhoto));
      target.style.minHeight = 0;
    } else if (!isIntersecting && target.firstChild && !target.contains(document.activeElement)) {
      target.style.minHeight = `${target.offsetHeight}px`;
      target.replaceChildren();
    }
  }
}, { rootMargin: "800px" });

function update() {
  const words = $("text").value.toLowerCase().split(/\s+/);
  const found = photo => words.every(word => photo.search.includes(word));
  const shown = sorted(cropped.filter(photo => found(photo) && (!$("ratio").value || photo.crops.some(isShown))));
  const batches = Array.from({ length: Math.ceil(shown.length / BATCH) }, (_, k) => {
    const members = shown.slice(k * BATCH, (k + 1) * BATCH), batch = make("ul", { photos: members });
    batch.style.minHeight = `calc(${members.length} * var(--row))`;
    return batch;
  });
  shown.forEach((photo, k) => Object.assign(photo, { place: k + 1, of: shown.length }));
  near.disconnect();
  $("photos").replaceChildren(...batches);
  for (const batch of batches) near.observe(batch);
  for (const photo of failed) photo.node.hidden = !found(photo);
  $("failures").hidden = !failed.some(found);
  $("shown").value = `${shown.length.toLocaleString("en")} of ${cropped.length.toLocaleString("en")} shown`;
  if (scrollY > $("photos").offsetTop) $("photos").scrollIntoView();
}

for (const photo of failed) {
  const head = make("th", { scope: "row" }, make("a", { href: photo.href }, photo.name));
  photo.node = make("tr", {}, head, make("td", {}, photo.reason));
}
$("failures").querySelector("summary").append(make("h2", {}, `${failed.length.toLocaleString("en")} failed`));
$("failures").querySelector("tbody").append(...failed.map(photo => photo.node));
$("failures").querySelector("details").open = failed.length <= 10;
$("ratio").append(...ratios.map(ratio => make("option", {}, ratio)));
$("view").addEventListener("submit", event => event.preventDefault());
for (const id of ["text", "ratio", "sort"]) $(id).addEventListener("input", update);
for (const id of ["heat", "boxes"]) {
  $(id).addEventListener("input", () => document.body.classList.toggle(`no-${id}`, !$(id).checked));
}
update();
