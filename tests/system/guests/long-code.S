# Code that changes itself, by itself and by other addresses (SDM vol. 3A §9.1.3: a jump in between suffices, and on one processor nothing is needed).
.include "long.inc"

.set ALIAS, TEST_PAGES
.set FRAME0, TEST_FRAMES
.set COUNT, 300                # enough for code to be compiled

main:
    movq $FRAME0+7, PT_TEST
    movq $FRAME0+0x1007, PT_TEST+8
    invlpg ALIAS
    invlpg ALIAS+0x1000
    TEST "the next instruction"
    movl $0, %eax
    movb $2, 1f+2
    jmp 1f
1:  addl $1, %eax
    CHECKL %eax, $2
    TEST "within one straight run"
    xorl %eax, %eax
    movb $0x40, 2f+1
    movl $0, %ecx
2:  movb $0x11, %cl
    CHECKL %ecx, $0x40
    TEST "a loop that changes its constant"
    xorl %eax, %eax
    movl $COUNT, %ecx
    xorl %ebx, %ebx
1:  movl %ecx, 2f+1
    jmp 2f
2:  addl $0x12345678, %eax
    addl %ecx, %ebx
    decl %ecx
    jnz 1b
    CHECKL %eax, %ebx
    TEST "by another address"
    movl $fragment, %esi
    movl $FRAME0, %edi
    movl $fragment_end-fragment, %ecx
    rep movsb
    movl $COUNT, %ebp
1:  movl $FRAME0, %edx
    call *%rdx
    CHECKL %eax, $5
    decl %ebp
    jnz 1b
    # The alias is writable, the code runs elsewhere.
    movb $9, ALIAS+1
    call *%rdx
    CHECKL %eax, $9
    TEST "by a string instruction"
    movl $fragment, %esi
    movl $ALIAS, %edi
    movl $fragment_end-fragment, %ecx
    rep movsb
    call *%rdx
    CHECKL %eax, $5
    TEST "by a locked instruction"
    lock addb $1, FRAME0+1
    call *%rdx
    CHECKL %eax, $6
    movb $5, %al
    xchgb %al, FRAME0+1
    call *%rdx
    CHECKL %eax, $5
    TEST "by a vector store"
    movups FRAME0, %xmm0
    movb $3, FRAME0+1
    call *%rdx
    CHECKL %eax, $3
    movups %xmm0, FRAME0
    call *%rdx
    CHECKL %eax, $5
    TEST "by PUSH"
    movq %rsp, %rbx
    movq FRAME0, %rax
    movb $7, %ah
    leaq 8(%rdx), %rsp
    pushq %rax
    movq %rbx, %rsp
    call *%rdx
    CHECKL %eax, $7
    TEST "over a page's end"
    # MOV EAX, imm32; RET with the immediate on the next page.
    movb $0xb8, FRAME0+0xffe
    movb $1, FRAME0+0xfff
    movl $0xc3000000, FRAME0+0x1000
    movl $ALIAS+0xffe, %edx
    movl $COUNT, %ebp
1:  call *%rdx
    decl %ebp
    jnz 1b
    CHECKL %eax, $1
    movb $4, FRAME0+0x1000
    call *%rdx
    CHECKL %eax, $0x401
    movb $2, FRAME0+0xfff
    call *%rdx
    CHECKL %eax, $0x402
    # A write over the page's end changes both.
    movw $0x0608, FRAME0+0xfff
    call *%rdx
    CHECKL %eax, $0x608
    TEST "the same address, another page"
    movb $0xb8, FRAME0
    movl $0x11, FRAME0+1
    movb $0xc3, FRAME0+5
    movb $0xb8, FRAME0+0x2000
    movl $0x22, FRAME0+0x2001
    movb $0xc3, FRAME0+0x2005
    movl $ALIAS, %edx
    movl $COUNT, %ebp
1:  call *%rdx
    decl %ebp
    jnz 1b
    CHECKL %eax, $0x11
    movq $FRAME0+0x2007, PT_TEST
    invlpg ALIAS
    call *%rdx
    CHECKL %eax, $0x22
    movq $FRAME0+7, PT_TEST
    invlpg ALIAS
    call *%rdx
    CHECKL %eax, $0x11
    TEST "a page that lost its right"
    btsq $63, PT_TEST
    invlpg ALIAS
    EXPECT_RESUME 1f
    call *%rdx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x11
    movq $0, resume_rip
    movq $FRAME0+7, PT_TEST
    invlpg ALIAS
    TEST "code that removes its own page"
    # INVLPG behind a cleared entry: the next instruction is not there.
    movl $remover, %esi
    movl $FRAME0+0x100, %edi
    movl $remover_end-remover, %ecx
    rep movsb
    movl $ALIAS+0x100, %edx
    EXPECT_RESUME 1f
    jmp *%rdx
1:  CHECKL fault_vector, $14
    CHECK fault_rip, $ALIAS+0x100+remover_next-remover
    THE_END

fragment:
    movb $5, %al
    movzbl %al, %eax
    ret
    .balign 8
fragment_end:
remover:
    movq $0, PT_TEST
    invlpg ALIAS
remover_next:
    nop
    ret
remover_end:
