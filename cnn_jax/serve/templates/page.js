
"use strict";
const at = id => document.getElementById(id);
const say = (id, words) => { at(id).textContent = words; };
const made = (name, words = "", kind = "") => {
  const node = document.createElement(name);
  node.textContent = words;
  if (kind) node.className = kind;
  return node;
};
const count = number => number.toLocaleString("en");
const percent = share => (100 * share).toFixed(1) + " %";
const size = bytes => +(bytes / 2 ** 20).toFixed(1) + " MiB";

let run = null;        // what /api/run says
let chosen = null;     // {blob, name}: the image that is shown
let label = null;      // the class to look for; null for the likeliest
let asking = null;     // the request under way, which the next one replaces
let watching = false;  // whether the features of the training images are waited for

async function asked(address, options = {}) {
  let response, found;
  try {
    response = await fetch(address, options);
    found = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(response ? `The server refuses this (${response.status}).` : "The server does not answer: it may have been stopped.");
  }
  if (!response.ok) throw Object.assign(new Error(found.error), { busy: response.status === 503 });
  return found;
}

async function start() {
  try {
    run = await asked("/api/run");
  } catch (error) {
    say("fault", error.message);
    return;
  }
  const [height, width, channels] = run.image;
  document.title = `${run.model} · cnn_jax serve`;
  say("model", run.model);
  say("about", `${run.workdir}, step ${run.step}: trained on ${run.data}, ${run.classes.length} classes, images of ` +
    `${width}×${height} ${channels === 1 ? "grey" : "coloured"} pixels. Files up to ${size(run.limits.upload)}.`);
  for (const name of run.taps) at("tap").append(new Option(name, name, name === run.tap, name === run.tap));
  at("where").hidden = at("tap-row").hidden = !run.tap;
}

function choose(blob, name) {
  if (!run || !blob) return;
  chosen = { blob, name };
  label = null;
  ask();
}

// A busy server is asked again, since whoever clicks fast keeps it busy alone.
async function askedAgain(address, options) {
  for (let tries = 1; ; tries++) {
    try {
      return await asked(address, options);
    } catch (error) {
      if (!error.busy || tries === 5) throw error;
    }
    await new Promise(done => setTimeout(done, 1000));
    options.signal.throwIfAborted();
  }
}

async function ask() {
  asking?.abort();
  const mine = asking = new AbortController();
  say("fault", "");
  if (chosen.blob.size > run.limits.upload) {
    at("answer").hidden = true;
    say("status", "");
    say("fault", `${chosen.name} is ${size(chosen.blob.size)} large: files up to ${size(run.limits.upload)} are taken.`);
    return;
  }
  say("status", `Looking at ${chosen.name} …`);
  at("answer").classList.add("old");
  const query = new URLSearchParams();
  if (label !== null) query.set("class", label);
  if (run.tap) query.set("tap", at("tap").value);
  try {
    const found = await askedAgain(`/api/predict?${query}`, { method: "POST", body: chosen.blob, signal: mine.signal });
    show(found);
    say("status", `${chosen.name}: ${found.top5[0].class}, ${percent(found.top5[0].probability)}`);
  } catch (error) {
    if (error.name === "AbortError") return;
    at("answer").hidden = true;
    say("status", "");
    say("fault", error.message);
  }
}

function show(found) {
  at("answer").hidden = false;
  at("answer").classList.remove("old");
  showClasses(found.top5, found.gradcam);
  at("seen").src = found.image;
  const [height, width] = run.image;
  const same = found.given.width === width && found.given.height === height;
  say("seen-note", same ? "as it was sent" : `${width}×${height} pixels of ${found.given.width}×${found.given.height}, as the network is given it`);
  showWhere(found.gradcam, found.image);
  showNear(found.neighbours);
}

function showClasses(top5, gradcam) {
  const rows = top5.map(one => {
    const row = made("li"), button = made("button"), track = made("span", "", "track"), bar = made("i");
    button.type = "button";
    button.setAttribute("aria-pressed", String(gradcam !== null && gradcam.label === one.label));
    bar.style.width = percent(one.probability).replace(" ", "");
    track.append(bar);
    button.append(made("span", one.class, "name"), made("span", percent(one.probability), "chance"), track);
    button.disabled = gradcam === null;
    button.addEventListener("click", () => { label = one.label; ask(); });
    row.append(button);
    return row;
  });
  const held = [...at("classes").querySelectorAll("button")].indexOf(document.activeElement);
  at("classes").replaceChildren(...rows);
  if (held >= 0) rows[held]?.firstChild.focus();
  say("classes-note", "Probability of the likeliest classes." + (gradcam ? " Choose one to see where the network sees it." : ""));
}

function showWhere(gradcam, image) {
  if (gradcam === null) {
    say("where-note", "This network has no feature maps, so nothing says where it looks.");
    return;
  }
  at("under").src = image;
  at("heat").src = gradcam.heat;
  at("heat").alt = `Heat map of what speaks for ${gradcam.class}`;
  say("heat-note", `what speaks for ${gradcam.class}`);
  const [rows, columns] = [gradcam.map.length, gradcam.map[0].length];
  const blank = gradcam.map.every(row => row.every(value => value === 0));
  say("where-note", blank ? `Nothing at ${gradcam.tap} speaks for ${gradcam.class}.` :
    `Grad-CAM (Selvaraju et al. 2017) at ${gradcam.tap}, ${columns}×${rows} places, interpolated.`);
}

function showNear(near) {
  const waiting = !near.why_not && near.done < near.total;
  at("computing").hidden = !waiting;
  at("near").replaceChildren(...(near.nearest || []).map(one => {
    const item = made("li"), figure = made("figure"), image = made("img"), words = made("figcaption");
    image.src = `/train/${one.train}.png`;
    image.alt = `Training image ${one.train}, ${one.class}`;
    words.append(made("b", one.class), `distance ${one.distance.toPrecision(3)}`);
    figure.append(image, words);
    item.append(figure);
    return item;
  }));
  say("near-note", near.why_not ? `None are searched: ${near.why_not}.` : waiting ? "" :
    `The nearest of ${count(near.total)} training images by Euclidean distance in ${near.tap}: alike to the network, whatever their pixels.`);
  if (waiting) watch(near);
}

async function watch(near) {
  Object.assign(at("bar"), { max: near.total, value: near.done });
  if (watching) return;
  watching = true;
  try {
    while (!near.why_not && near.done < near.total) {
      await new Promise(done => setTimeout(done, 700));
      near = (await asked("/api/run")).neighbours;
      Object.assign(at("bar"), { max: near.total, value: near.done });
    }
    watching = false;
    if (chosen) ask();
  } catch (error) {
    watching = false;
    say("fault", error.message);
  }
}

at("file").addEventListener("change", event => {
  const [file] = event.target.files;
  if (file) choose(file, file.name);
  event.target.value = "";  // the same file may be chosen again
});
at("tap").addEventListener("change", () => { if (chosen) ask(); });
addEventListener("paste", event => {
  const [file] = event.clipboardData.files;
  if (file) choose(file, "The pasted image");
});
addEventListener("dragover", event => { event.preventDefault(); at("drop").classList.add("above"); });
addEventListener("dragleave", event => { if (!event.relatedTarget) at("drop").classList.remove("above"); });
addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("above");
  const [file] = event.dataTransfer.files;
  if (file) choose(file, file.name);
});
start();
