// The search runs in a worker, which browsers refuse to pages that are opened from a folder.
// There a hidden frame does the same.
'use strict';

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.createElement('iframe');
    this.frame.hidden = true;
    document.body.append(this.frame);
    const inside = this.frame.contentWindow;
    inside.document.open();
    inside.document.write('<!doctype html><body>');
    inside.document.close();
    const load = (source) => new Promise((loaded, failed) => {
      const script = inside.document.createElement('script');
      script.src = source;
      script.onload = loaded;
      script.onerror = () => failed(new Error(`${source} cannot be loaded`));
      inside.document.body.append(script);
    });
    inside.postMessage = (data) => this.dispatchEvent(new MessageEvent('message', {data}));
    inside.importScripts = async (...sources) => {
      for (const source of sources) await load(source);
    };
    this.loaded = load(url);
  }

  async postMessage(data) {
    await this.loaded;
    const inside = this.frame.contentWindow;
    inside.dispatchEvent(new inside.MessageEvent('message', {data: structuredClone(data)}));
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === 'file:') window.Worker = FrameWorker;
