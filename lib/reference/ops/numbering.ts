/** Numbers keys 0, 1, ... in the order in which they are first seen. */
export function numbering(): (key: number) => number {
  const numbers = new Map<number, number>();
  return (key) => {
    let number = numbers.get(key);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(key, number);
    }
    return number;
  };
}
