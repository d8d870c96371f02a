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
      mount(el, scene, {engine, tell: send("settings")});
      return;
    }
    // The kernel answers with curves, then with the settings they are of: these change where the curves do not.
    const explorer = mount(el, scene, {ask: send("asked")}), news = "change:answer change:settings";
    const answered = () => explorer.show(shape(model.get("answer")));
    model.on(news, answered);
    return () => model.off(news, answered);
  },
};
