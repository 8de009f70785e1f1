package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// packageLines returns the exported names of the package in dir, sorted. Files for all
// systems count.
func packageLines(name, dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	p := &pkg{name: name}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			p.decl(d)
		}
	}
	slices.Sort(p.lines)
	return slices.Compact(p.lines), nil
}

// pkg gathers the lines of one package.
type pkg struct {
	name  string
	lines []string
}

func (p *pkg) add(text string) { p.lines = append(p.lines, "pkg "+p.name+", "+text) }

func (p *pkg) decl(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		p.function(d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					p.typ(spec)
				}
			case *ast.ValueSpec:
				p.values(d.Tok.String(), spec)
			}
		}
	}
}

func (p *pkg) function(f *ast.FuncDecl) {
	if !f.Name.IsExported() {
		return
	}
	if f.Recv == nil {
		p.add("func " + f.Name.Name + signature(f.Type))
		return
	}
	receiver := text(f.Recv.List[0].Type)
	if ast.IsExported(strings.TrimPrefix(receiver, "*")) {
		p.add("method (" + receiver + ") " + f.Name.Name + signature(f.Type))
	}
}

// values are constants, whose value is part of the promise, or variables, of which only
// the name is known without their types.
func (p *pkg) values(kind string, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if !name.IsExported() {
			continue
		}
		line := kind + " " + name.Name
		if spec.Type != nil {
			line += " " + text(spec.Type)
		}
		if kind == "const" && i < len(spec.Values) {
			line += " = " + text(spec.Values[i])
		}
		p.add(line)
	}
}

func (p *pkg) typ(spec *ast.TypeSpec) {
	line := "type " + spec.Name.Name
	if spec.Assign.IsValid() {
		line += " ="
	}
	switch t := spec.Type.(type) {
	case *ast.StructType:
		p.add(line + " struct")
		for _, f := range t.Fields.List {
			for _, name := range fieldNames(f) {
				p.add(line + " struct, " + name)
			}
		}
	case *ast.InterfaceType:
		p.add(line + " interface")
		for _, f := range t.Methods.List {
			for _, name := range fieldNames(f) {
				p.add(line + " interface, " + name)
			}
		}
	case *ast.FuncType:
		p.add(line + " func" + signature(t))
	default:
		p.add(line + " " + text(t))
	}
}

// fieldNames are a field's exported names, each with its type, or what is embedded.
func fieldNames(f *ast.Field) (names []string) {
	for _, name := range f.Names {
		if method, ok := f.Type.(*ast.FuncType); ok && name.IsExported() && isMethod(f) {
			names = append(names, name.Name+signature(method))
		} else if name.IsExported() {
			names = append(names, name.Name+" "+text(f.Type))
		}
	}
	if embedded := text(f.Type); f.Names == nil && ast.IsExported(embedded[strings.LastIndexAny(embedded, "*.")+1:]) {
		names = append(names, "embeds "+embedded)
	}
	return names
}

// isMethod tells a method of an interface from a field that is a function: that one has
// the word func.
func isMethod(f *ast.Field) bool { return f.Type.(*ast.FuncType).Func == token.NoPos }

// signature is a function's parameters and results without their names.
func signature(f *ast.FuncType) string {
	unnamed := func(list *ast.FieldList) (types []string) {
		if list == nil {
			return nil
		}
		for _, field := range list.List {
			for range max(1, len(field.Names)) {
				types = append(types, text(field.Type))
			}
		}
		return types
	}
	line := "(" + strings.Join(unnamed(f.Params), ", ") + ")"
	switch results := unnamed(f.Results); len(results) {
	case 0:
		return line
	case 1:
		return line + " " + results[0]
	default:
		return line + " (" + strings.Join(results, ", ") + ")"
	}
}

// text is a piece of source on one line.
func text(node ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
		panic(err) // of an expression that was just parsed
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
