export default {
  render({model, el}) {
    const scene = model.get("scene"), T = scene.times.length, C = scene.curves.length;
    const shape = (bytes) => {  // little-endian doubles [quantile][time][curve]
      const at = (m, t, k) => bytes.getFloat64(8 * ((m * T + t) * C + k), true);
      const known = (value) => (Number.isNaN(value) ? null : value);
      return [0, 1, 2].map((m) => scene.times.map((_, t) => scene.curves.map((_, k) => known(at(m, t, k)))));
    };
    const send = (name) => (settings) => { model.set(name, settings); model.save_changes(); };
    const engine = new Function(`return ${model.get("code")};`)();
    const explorer = mount(el, scene, {engine, ask: send("asked"), tell: send("settings")});
    const answered = () => explorer.show(shape(model.get("answer")));
    model.on("change:answer", answered);
    return () => model.off("change:answer", answered);
  },
};
