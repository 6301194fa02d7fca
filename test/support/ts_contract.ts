/** lib/ops.ts as data, read with the TypeScript compiler: interfaces, unions of strings, constant lists. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';

export interface TsContract {
  /** Interface -> field -> type as written, in order. */
  interfaces: Record<string, [name: string, type: string][]>;
  /** Type alias of string literals -> the literals, in order. */
  unions: Record<string, string[]>;
  /** Constant array of strings -> its elements. */
  lists: Record<string, string[]>;
  /** Method of `Ops` -> type of its argument. */
  ops: Record<string, string>;
}

export function readContract(url: URL): TsContract {
  const source = ts.createSourceFile(url.pathname, readFileSync(url, 'utf8'), ts.ScriptTarget.Latest, true);
  const contract: TsContract = { interfaces: {}, unions: {}, lists: {}, ops: {} };
  for (const statement of source.statements) {
    if (ts.isInterfaceDeclaration(statement)) addInterface(contract, statement);
    if (ts.isTypeAliasDeclaration(statement)) addUnion(contract, statement);
    if (ts.isVariableStatement(statement)) addLists(contract, statement);
  }
  return contract;
}

function addInterface(contract: TsContract, declaration: ts.InterfaceDeclaration): void {
  const name = declaration.name.text;
  contract.interfaces[name] = declaration.members
    .filter(ts.isPropertySignature)
    .map((field) => [field.name.getText(), (field.type?.getText() ?? '').replace(/\s+/g, ' ')]);
  if (name !== 'Ops') return;
  for (const method of declaration.members.filter(ts.isMethodSignature)) {
    contract.ops[method.name.getText()] = method.parameters[0].type?.getText() ?? '';
  }
}

function addUnion(contract: TsContract, { name, type }: ts.TypeAliasDeclaration): void {
  const members = ts.isUnionTypeNode(type) ? type.types : [type];
  const literals = members.flatMap((member) =>
    ts.isLiteralTypeNode(member) && ts.isStringLiteral(member.literal) ? [member.literal.text] : [],
  );
  if (literals.length === members.length) contract.unions[name.text] = literals;
}

function addLists(contract: TsContract, statement: ts.VariableStatement): void {
  for (const { name, initializer } of statement.declarationList.declarations) {
    const value = initializer && ts.isAsExpression(initializer) ? initializer.expression : initializer;
    if (!value || !ts.isArrayLiteralExpression(value)) continue;
    contract.lists[name.getText()] = value.elements.filter(ts.isStringLiteral).map((element) => element.text);
  }
}
