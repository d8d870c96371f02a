export default {
  render({model, el}) {
    const scene = model.get("scene"), T = scene.times.length, C = scene.curves.length;
    const shape = (bytes) => {  // little-endian doubles [quantile][time][curve]
      const at = (m, t, k) => bytes.getFloat64(8 * ((m * T + t) * C + k), true);
      const known = (value) => (Number.isNaN(value) ? null : value);
      return scene.masses.map((_, m) => scene.times.map((_, t) => scene.curves.map((_, k) => known(at(m, t, k)))));
    };
    const send = (name) => (settings) => { model.set(name, settings); model.save_changes(); };
    const engine = new Function(`return ${model.get("code")};`)();
    if (engine) {
      const explorer = mount(el, scene, {engine, tell: send("settings")}), placed = () => explorer.place(model.get("settings"));
      placed();
      model.on("change:settings", placed);
      return () => model.off("change:settings", placed);
    }
    // The kernel answers with curves, then with the settings they are of: these change where the curves do not.
    let moved = -1e9;
    const asked = send("asked"), ask = (settings) => { moved = performance.now(); asked(settings); };
    const explorer = mount(el, scene, {ask}), news = "change:answer change:settings";
    const answered = () => {
      if (!model.get("answer").byteLength) return;
      if (performance.now() - moved > 1000) explorer.place(model.get("settings"));  // not from under somebody's hand
      explorer.show(shape(model.get("answer")));
    };
    answered();
    model.on(news, answered);
    return () => model.off(news, answered);
  },
};
