// A hook that keeps a bundle's model for as long as the component is there.

import { Assistant, Problem } from "./bundle/webslm.js";

const { useCallback, useEffect, useRef, useState } = globalThis.React;

// Returns { state, progress, turns, problem, config, load, ask, stop }.
// state: "opening", "idle", "loading", "ready", "answering".
export function useAssistant() {
  const assistant = useRef(null);
  const [state, setState] = useState("opening");
  const [config, setConfig] = useState(null);
  const [progress, setProgress] = useState(0);
  const [problem, setProblem] = useState(null);
  const [turns, setTurns] = useState([]);

  useEffect(() => {
    let gone = false;
    Assistant.open().then((opened) => {
      if (!gone) {
        assistant.current = opened;
        setConfig(opened.config);
        setState("idle");
      }
    }, setProblem);
    return () => {
      gone = true;
      assistant.current?.dispose();
    };
  }, []);

  const load = useCallback(async () => {
    setState("loading");
    setProblem(null);
    try {
      await assistant.current.load(({ share }) => setProgress(share));
      setState("ready");
    } catch (error) {
      setProblem(error);
      setState("idle");
    }
  }, []);

  const ask = useCallback(async (question) => {
    const asked = [...turns, { role: "user", content: question }];
    let said = "";
    setState("answering");
    setProblem(null);
    try {
      for await (const { text } of assistant.current.chat(asked)) {
        said += text ?? "";
        setTurns([...asked, { role: "assistant", content: said }]);
      }
      setState("ready");
    } catch (error) {
      setTurns(turns);
      setProblem(error);
      setState(error instanceof Problem && error.kind === "message" ? "ready" : "idle");
    }
  }, [turns]);

  const stop = useCallback(() => assistant.current.interrupt(), []);
  return { state, progress, turns, problem, config, load, ask, stop };
}
